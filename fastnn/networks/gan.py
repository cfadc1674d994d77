"""Generative adversarial networks: a generator that makes images from noise, and a discriminator that learns to tell them from
real ones, from which the generator learns to make better ones (Goodfellow et al. 2014, arXiv:1406.2661)."""
import copy
from math import prod

import numpy as np

from .. import functional as F
from .. import graph, optimizers, random, run, steps
from ..layers import BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, LeakyReLU, Linear, ReLU, Reshape, Sequential, Sigmoid
from ..layers._check import integer, number
from ..module import Module
from ._generative import halved, row_shape

__all__ = ["GAN", "DCGAN"]


class Pair:
    """The optimizers of the two networks; what callbacks see as the model's optimizer."""

    def __init__(self, generator, discriminator):
        self.generator, self.discriminator = generator, discriminator

    @property
    def lr(self):
        """The generator's learning rate. Setting it multiplies the discriminator's by the same factor."""
        return self.generator.lr

    @lr.setter
    def lr(self, value):
        ratio = self.discriminator.lr / self.generator.lr if self.generator.lr else 1.0
        self.generator.lr, self.discriminator.lr = value, ratio * value


class Told:
    """What compile was told, as Module.fit wants to see it: the optimizers, the figures beside the loss."""
    names = ("g_loss", "real", "fake")

    def __init__(self, optimizer, smoothing):
        self.optimizer, self.smoothing = optimizer, float(smoothing)


class Reals:
    """The real images of one fit."""

    def __init__(self, array):
        self.xs, self.ys, self.weights, self.rows = [array], [], None, len(array)


class Turns:
    """A step of both: a turn of the discriminator, then one of the generator."""

    def __init__(self, gan, x, n):
        self.tell, self.make = gan.turn(gan.discriminator, x, n), gan.turn(gan.generator, x, n)
        self.rows = self.tell.rows or self.make.rows

    def __call__(self, xs, ys=(), index=None, weights=None):
        loss, rows, probabilities = self.tell(xs, (), index)
        g_loss, *_ = self.make(xs, (), index)
        return loss, rows, [g_loss, *probabilities]


class GAN(Module):
    """A generator and a discriminator, trained in turns: at each step the discriminator on real images and on generated ones
    (binary cross-entropy), then the generator on what the discriminator takes for real (the loss that does not saturate, -log
    D(G(z))). Each turn is one plan: noise, both networks, gradients of the one that learns, its update.

    Args: generator: noise (N, latent) -> images; discriminator: images -> (N, 1), the logit of being real; both Modules.
    latent: numbers of noise a row; None: the in_features of the generator's first Linear layer. averaging: with 0.999, say, the
    generator that samples is one whose weights are a running mean, 0.999 of it kept at each step (Yazici et al. 2019,
    arXiv:1806.04498), `average`; 0: the one that learns. Called, it is the generator that samples. `state_dict` and `save` hold
    all networks, the graph in the file is the generator's. Raises TypeError for what is no Module, ValueError where latent is
    not known."""

    def __init__(self, generator, discriminator, latent=None, averaging=0.0):
        super().__init__()
        for name, part in (("generator", generator), ("discriminator", discriminator)):
            if not isinstance(part, Module):
                raise TypeError(f"GAN: {name} must be a Module, got {type(part).__name__}")
        self.generator, self.discriminator = generator, discriminator
        first = next((m for m in generator.modules() if isinstance(m, Linear)), None)
        if latent is None and first is None:
            raise ValueError("GAN: the generator has no Linear layer to read the length of its noise from: give latent=")
        self.latent = first.in_features if latent is None else integer("GAN", "latent", latent)
        self.averaging = number("GAN", "averaging", averaging, 0.0, 1.0)
        self.average = copy.deepcopy(generator).requires_grad_(False) if averaging else None

    def forward(self, z):
        """z: noise (N, latent) -> images, by the averaged generator where there is one."""
        return self.sampler()(z)

    def sampler(self):
        """The generator that samples."""
        return self.generator if self.average is None else self.average

    def numbers(self, advance=0):
        """Module.numbers, and how far the average moves in a step: further in the first ones, whose weights soon change."""
        found = super().numbers(advance)
        return {**found, "moves": 1 - np.minimum(self.averaging, (found["step"] + 1) / (found["step"] + 10))}

    def compile(self, optimizer=None, discriminator_optimizer=None, smoothing=0.0):
        """How the two are trained: an optimizer or its name each, None: Adam(lr=2e-4, betas=(0.5, 0.999)) (Radford et al.
        2016). smoothing: the discriminator's target for real images is 1 - smoothing (Salimans et al. 2016, arXiv:1606.03498).
        fit calls it where nobody has."""
        if not 0 <= smoothing < 1:
            raise ValueError(f"{type(self).__name__}.compile: smoothing must be in [0, 1), got {smoothing!r}")
        usual = optimizers.Adam
        pair = [optimizers.resolve(usual(lr=2e-4, betas=(0.5, 0.999)) if given is None else given).bind(part.parameters())
                for given, part in ((optimizer, self.generator), (discriminator_optimizer, self.discriminator))]
        self.__dict__["_compiled"] = Told(Pair(*pair), smoothing)
        self.__dict__["stop_training"] = False
        return self

    def fit(self, x, batch_size=64, epochs=1, verbose="auto", callbacks=None, *, scale=None, **settings):
        """Trains both on real images x, (N, ...) as the generator makes them -> History with "loss" (the discriminator's),
        "g_loss", "real" and "fake", the mean probabilities that the discriminator gives real and generated images.

        scale: multiplies uint8 images, 1/255 where it was never given. The rest as Module.fit's: shuffle, initial_epoch,
        steps_per_epoch. Callbacks that move the learning rate move both networks'. Raises ValueError for other shapes."""
        x = run.check_array(f"{type(self).__name__}.fit", "x", x)
        if self.__dict__.get("_compiled") is None:
            self.compile()
        if x.dtype == np.uint8 and (scale is not None or self.__dict__.get("_byte_scale") is None):
            self._set_scale(1 / 255 if scale is None else scale)
        return super().fit(x, None, batch_size, epochs, verbose, callbacks, **settings)

    def train_on_batch(self, x):
        """One turn of each on real images x -> the discriminator's loss, a float, before its update."""
        self._need_compiled("train_on_batch")
        x = run.check_array(f"{type(self).__name__}.train_on_batch", "x", x)
        return Turns(self, x, len(x))([x])[0] / max(len(x), 1)

    def _training_data(self, x, *others):
        """The part of Module.fit that looks at its arguments: real images alone."""
        if any(o is not None and not isinstance(o, float) or o for o in others):
            raise ValueError(f"{type(self).__name__}.fit: takes no targets, weights or validation")
        if x.ndim < 2 or len(x) == 0:
            raise ValueError(f"{type(self).__name__}.fit: x must be images (N, ...), got shape {x.shape}")
        return Reals(x), None

    def _training_step(self, data, rows):
        return Turns(self, data.xs[0], rows)

    def turn(self, learner, x, n):
        """The compiled Step of one network's turn, for n images like x."""
        compiled, generates = self._compiled, learner is self.generator
        optimizer = compiled.optimizer.generator if generates else compiled.optimizer.discriminator
        shapes = ((x.shape[1:], self.input_dtype(x)),)
        entry = self.cached(("turn", generates, compiled, shapes, optimizer.structure(learner.parameters())), lambda: {})
        found = entry.get("free") or entry.get(n)
        if found is None:
            moved = []

            def body(session, inputs):
                results = self._learn_to_make(*inputs) if generates else self._learn_to_tell(*inputs)
                moved[:], updates = updated(session, learner, optimizer, results["loss"])
                return results, updates + averaged(session, self.sampler() if generates else learner, learner)
            made = self.build(body, shapes, n, True)
            made.moved = moved
            found = entry["free" if made.rows is None else n] = steps.Step(self, made, optimizer)
        return found

    def _fakes(self, x):
        """As many generated images as x has."""
        made = self.generator(F.randn_like(x, (self.latent,)))
        if tuple(made.shape) != tuple(x.shape):
            raise ValueError(f"{type(self).__name__}: the generator makes {tuple(made.shape[1:])}, real images are "
                             f"{tuple(x.shape[1:])}")
        return made

    def _logits(self, images):
        found = self.discriminator(images)
        if prod(found.shape) != images.shape[0]:
            raise ValueError(f"{type(self).__name__}: the discriminator must give one logit an image, its output is "
                             f"{tuple(found.shape[1:])}")
        return found.flatten(0)

    def _learn_to_tell(self, x):
        fakes = self._fakes(x)
        real, fake = self._logits(x), self._logits(fakes)
        smoothing = self._compiled.smoothing
        loss = F.softplus(-real) + F.softplus(fake) + (real * smoothing if smoothing else 0.0)
        return {"loss": loss.mean(), "real": F.sigmoid(real).mean(), "fake": F.sigmoid(fake).mean()}

    def _learn_to_make(self, x):
        return {"loss": F.softplus(-self._logits(self._fakes(x))).mean()}

    def save(self, path, input_shape=None, training_state=False):
        """Module.save; the graph in the file is the generator's. ValueError: with training_state, which is for one
        optimizer."""
        if training_state:
            raise ValueError(f"{type(self).__name__}.save: training_state is for networks with one optimizer, this one has two")
        super().save(path, (self.latent,) if input_shape is None else input_shape)

    def sample(self, n, batch_size=256):
        """n generated images, from noise by manual_seed's generator."""
        z = random.normal((integer(f"{type(self).__name__}.sample", "n", n), self.latent))
        return self.sampler().predict(z, batch_size)


def updated(session, learner, optimizer, loss):
    """-> ([parameters that move], [(state, new value)]): the update of the network that learns, by the gradient of loss. The
    other one stays as it is, its running statistics included."""
    own = {id(b) for b in learner.buffers()}
    statistics = [(state, new) for state, new in session.updates if id(state.node.attrs["holder"]) in own]
    parameters = [p for p in learner.parameters() if p.requires_grad and p in optimizer]
    found = graph.gradients([loss], [graph.as_value(np.ones((), np.float32))], [session.state(p) for p in parameters])
    pairs = [(p, d) for p, d in zip(parameters, found) if d is not None]
    return [p for p, _ in pairs], [*statistics, *optimizer.updates(pairs)]


def averaged(session, average, network):
    """[(state, new value)]: the averaged weights and statistics move towards those that the network has before this step.
    Nothing where it is the network itself."""
    if average is network:
        return []
    states = [[session.state(h) for h in (*part.parameters(), *part.buffers()) if h.dtype.kind == "f"]
              for part in (average, network)]
    return [(mean, mean + (value - mean) * session.slot("moves")) for mean, value in zip(*states)]


class DCGAN(GAN):
    """A GAN of strided convolutions with batch norm (Radford, Metz, Chintala 2016, arXiv:1511.06434); images between 0 and 1.

    Args: shape=(1, 28, 28): channels, height and width, the last two divisible by 4 (by 2 once for each number in channels);
    channels=(32, 64): of the discriminator's layers, the generator's are the same from the other end; latent=64: numbers of
    noise; averaging=0.0: as GAN's. Weights of convolutions begin with standard deviation 0.02, as there. Raises ValueError for
    shapes that cannot be halved."""

    def __init__(self, shape=(1, 28, 28), channels=(32, 64), latent=64, averaging=0.0):
        shape, latent = row_shape("DCGAN", shape), integer("DCGAN", "latent", latent)
        widths, small = halved("DCGAN", shape, channels)
        up = [Linear(latent, prod(small), bias=False), Reshape(*small), BatchNorm2d(small[0]), ReLU()]
        for a, b in zip(widths[:1:-1], widths[-2:0:-1]):
            up += [ConvTranspose2d(a, b, 4, 2, 1, bias=False), BatchNorm2d(b), ReLU()]
        down = [Conv2d(widths[0], widths[1], 4, 2, 1), LeakyReLU(0.2)]
        for a, b in zip(widths[1:], widths[2:]):
            down += [Conv2d(a, b, 4, 2, 1, bias=False), BatchNorm2d(b), LeakyReLU(0.2)]
        up += [ConvTranspose2d(widths[1], widths[0], 4, 2, 1), Sigmoid()]
        for layer in [*up, *down]:
            if isinstance(layer, (Conv2d, ConvTranspose2d)):
                layer.weight.data = random.normal(layer.weight.shape, 0.02)
        super().__init__(Sequential(*up),
                         Sequential(*down, Flatten(), Linear(prod(small), 1)), latent, averaging)
