"""Reports to look at: the page, the step summary and the badge, made from the JSON that a run writes."""
