"""Recurrent layers by name, for networks that let one choose."""
from ..layers import GRU, LSTM, RNN

CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


def make_cell(network, cell, *sizes, **options):
    """A new LSTM, GRU or RNN with batch_first. ValueError, naming the network: an unknown name."""
    found = CELLS.get(str(cell).lower())
    if found is None:
        raise ValueError(f"{network}: unknown cell {cell!r}, expected one of {', '.join(CELLS)}")
    return found(*sizes, batch_first=True, **options)
