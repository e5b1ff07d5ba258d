"""PyTorch's layers torch.nn.RNN, LSTM and GRU and their cells."""
