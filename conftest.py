"""The checkout's way to the plugin; an installed wheel registers it under the same name, once."""

pytest_plugins = ["conformance.plugin"]
