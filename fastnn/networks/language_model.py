"""A language model of characters."""
import numpy as np

from .. import functional as F
from .. import random
from ..callbacks import LearningRateScheduler
from ..layers import Dropout, Linear
from ..layers._check import integer
from ..module import Module
from ..optimizers import Adam
from ._cell import make_cell

__all__ = ["LanguageModel"]
LONGEST = 256                                       # characters of one call where a text is read through


class LanguageModel(Module):
    """Predicts every next character of a text from all before it, and writes text of its own by drawing one after the other
    (Graves 2013, arXiv:1308.0850; Sutskever, Martens, Hinton 2011).

    Args: vocabulary, the characters it knows: a string of them, a whole text does; cell="lstm", "gru" or "rnn";
    hidden_size=256; num_layers=1; dropout=0.0, between layers and before the last one. Characters go in one-hot: the first
    weight is their embedding. Layers: `cell`, `dropout`, `linear`. Shapes: codes (N, steps), and initial states (N, num_layers,
    hidden_size) or none -> logits (N, steps, characters), and the states after the last step if there were initial ones.
    It is compiled (Adam, lr=0.003); `vocabulary` holds the characters in the order of their codes.
    ValueError: an empty vocabulary, an unknown cell, a size below 1."""

    def __init__(self, vocabulary, cell="lstm", hidden_size=256, num_layers=1, dropout=0.0):
        super().__init__()
        self.vocabulary = "".join(sorted(set(vocabulary)))
        if not self.vocabulary:
            raise ValueError("LanguageModel: vocabulary is empty")
        self._codes = {character: code for code, character in enumerate(self.vocabulary)}
        size = len(self.vocabulary)
        self.cell = make_cell("LanguageModel", cell, size, hidden_size, num_layers, dropout=dropout)
        self.dropout, self.linear = Dropout(dropout), Linear(hidden_size, size)
        self.compile(loss=next_character_loss, optimizer=Adam(lr=0.003))

    def forward(self, x, *states):
        """x: codes (N, steps); states: see the class."""
        one_hot = F.eq(F.unsqueeze(x, 2), np.arange(len(self.vocabulary), dtype=np.float32))
        output, last = self.cell(one_hot, tuple(s.transpose(0, 1) for s in states) or None)
        logits = self.linear(self.dropout(output))
        last = last if isinstance(last, tuple) else (last,)
        return (logits, *(s.transpose(0, 1) for s in last)) if states else logits

    def encode(self, text):
        """The codes (len(text),), int64. ValueError: a character that is not in the vocabulary."""
        unknown = sorted(set(text) - set(self.vocabulary))
        if unknown:
            raise ValueError(f"LanguageModel: the vocabulary has no {', '.join(map(repr, unknown[:5]))}")
        return np.array([self._codes[character] for character in text], np.int64)

    def fit(self, text, steps=64, epochs=5, batch_size=16, validation_text=None, callbacks=None, **options):
        """Trains on a text, cut into rows of `steps` characters, each read from nothing -> History. The learning rate falls along
        half a cosine, epoch by epoch. validation_text: its loss is in the History as val_loss (of such rows; `loss` reads on
        from one row to the next and finds less). More options as Module.fit's. ValueError: a text not longer than `steps`, an
        unknown character."""
        x, y = self._rows(text, steps)
        if validation_text is not None:
            options["validation_data"] = self._rows(validation_text, steps)
        highest = self.optimizer.lr
        falling = LearningRateScheduler(lambda epoch, rate: highest * (0.5 + 0.5 * np.cos(np.pi * epoch / epochs)))
        try:
            return super().fit(x, y, batch_size, epochs, callbacks=[falling, *(callbacks or ())], **options)
        finally:
            self.optimizer.lr = highest

    def _rows(self, text, steps):
        """(codes, the codes that follow them), each (rows, steps)."""
        codes = self.encode(text)
        rows = (len(codes) - 1) // steps
        if rows < 1:
            raise ValueError(f"LanguageModel: a text of more than {steps} characters is needed, this one has {len(codes)}")
        return codes[:rows * steps].reshape(rows, steps), codes[1:rows * steps + 1].reshape(rows, steps)

    def step(self, text, states=None):
        """Reads `text` on from `states` (None: from nothing) -> log-probabilities (len(text), characters) of what comes after
        each of its characters, and the states then. ValueError: an empty text, an unknown character."""
        codes = self.encode(text)
        if not len(codes):
            raise ValueError("LanguageModel: step needs at least one character")
        if states is None:
            states = [np.zeros((1, self.cell.num_layers, self.cell.hidden_size), np.float32) for _ in self.cell.states]
        logits, *states = self.predict_on_batch([codes[None], *states])
        return F.log_softmax(logits[0], 1), states

    def loss(self, text):
        """The mean loss of a character given all before it, in nats (its exponential is the perplexity). The first character is
        not counted. ValueError: fewer than two characters, an unknown one."""
        codes, total, states = self.encode(text), 0.0, None
        if len(codes) < 2:
            raise ValueError("LanguageModel: loss needs at least two characters")
        for start in range(0, len(codes) - 1, LONGEST):
            stop = min(start + LONGEST, len(codes) - 1)
            found, states = self.step(text[start:stop], states)
            total -= found[np.arange(stop - start), codes[start + 1:stop + 1]].sum(dtype=np.float64)
        return total / (len(codes) - 1)

    def sample(self, n, prompt="\n", temperature=1.0):
        """n characters that the model makes of itself, going on from `prompt`, each drawn from the probabilities ** (1 /
        temperature) (0: always the likeliest). nn.manual_seed fixes them. ValueError: a negative temperature, an empty prompt,
        an unknown character, a negative n."""
        n = integer("LanguageModel.sample", "n", n, 0)
        if not temperature >= 0:
            raise ValueError(f"LanguageModel: temperature must be at least 0, got {temperature!r}")
        found, states = self.step(prompt)
        text = []
        for draw in random.generator().random(n):
            text.append(self.vocabulary[_choose(found[-1].astype(np.float64), temperature, draw)])
            found, states = self.step(text[-1], states)
        return "".join(text)


def next_character_loss(y_pred, y_true):
    """Cross-entropy of logits (N, steps, characters) and the codes that come next (N, steps)."""
    return F.cross_entropy(y_pred.transpose(1, 2), y_true)


def _choose(log_probabilities, temperature, draw):
    """The code on which `draw`, uniform in [0, 1), falls."""
    if temperature == 0:
        return int(log_probabilities.argmax())
    weights = np.exp((log_probabilities - log_probabilities.max()) / temperature)
    ends = weights.cumsum()
    return int(np.searchsorted(ends, draw * ends[-1], side="right"))
