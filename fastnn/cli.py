"""The command line, `python -m fastnn`: train, evaluate, predict, summary, profile, info, results; each a function of its arguments."""
import argparse
import sys

import numpy as np


def main(arguments=None):
    """Runs one command; -> the exit status (0, or 1 with a line on stderr that says what is wrong with the files given)."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.command(parsed)
    except (OSError, ValueError) as error:
        print(f"fastnn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser():
    from .results import FAMILIES
    parser = argparse.ArgumentParser(prog="python -m fastnn", description="Trains and runs neural networks on the CPU.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(function, text):
        added = commands.add_parser(function.__name__, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=function)
        return added

    data = dict(metavar="DIR", help="a folder of IDX files, gzipped or not: train-images*, train-labels*, t10k-images*, "
                                    "t10k-labels* (default: the handwritten digits in the package)")
    added = command(train, "train a convolutional network, or the network named, print what it has learned, save it")
    added.add_argument("--model", choices=FAMILIES, metavar="NAME",
                       help=f"the network of an example (fastnn/examples): {', '.join(FAMILIES)}; --data is then the folder that "
                            "holds mnist/ and the like")
    added.add_argument("--data", **data)
    added.add_argument("--epochs", type=_positive(int),
                       help="passes over the training images (default: 15, with --data 3, with --model the example's own)")
    added.add_argument("--batch-size", type=_positive(int), help="images a step (default: 32, with --data 64; not with --model)")
    added.add_argument("--lr", type=_positive(float),
                       help="the highest learning rate (default: 0.002, with --data 0.05; not with --model)")
    added.add_argument("--seed", type=int, default=0, help="of the first weights, the shuffling and the dropout (default: 0)")
    added.add_argument("--output", metavar="FILE",
                       help="where to save (default: digits.safetensors, with --data model.safetensors, with --model NAME.safetensors)")

    added = command(evaluate, "print a saved model's accuracy on held-out images")
    added.add_argument("model", help="a file that was saved by train or model.save")
    added.add_argument("--data", **data)

    added = command(predict, "print a saved model's answer for each image, one a line")
    added.add_argument("model", help="a file that was saved by train or model.save")
    added.add_argument("images", nargs="?", help="an IDX or .npy file (default: the held-out digits in the package)")

    added = command(summary, "print a saved model's layers")
    added.add_argument("model", help="a file that was saved by train or model.save")

    added = command(profile, "print time, GFLOP/s and share of each step of a saved model's plan")
    added.add_argument("model", help="a file that was saved by train or model.save")
    added.add_argument("--rows", type=_positive(int), default=64, help="rows of the batch (default: 64)")

    added = command(results, "train the networks of the examples, print what they reach beside other tools in a table")
    added.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAMILIES)} (default: all, which takes long)")
    added.add_argument("--data", required=True, metavar="DIR", help="the folder that holds mnist/, faces/ and the like")
    added.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")

    command(info, "print versions, backend, CPU target and threads")
    return parser


def _positive(kind):
    def parse(text):
        number = kind(text)
        if not 0 < number < float("inf"):
            raise ValueError
        return number
    parse.__name__ = f"positive {kind.__name__}"    # argparse's message: "invalid positive int value"
    return parse


def _data(folder):
    """(training part, held-out part), each (images, labels)."""
    from . import datasets
    if folder is None:
        return datasets.load_digits("train"), datasets.load_digits("test")
    return datasets.load_idx_folder(folder)


def train(parsed):
    """Trains the digits network, MNIST's on a folder, or an example's by name."""
    import fastnn
    if parsed.model is not None:
        return _train_example(parsed)
    from .examples import digits, mnist
    training_part, held_out = _data(parsed.data)
    images, labels = training_part
    fastnn.manual_seed(parsed.seed)
    if parsed.data is None:
        model, output = digits.network(), "digits.safetensors"
        optimizer, epochs, batch_size = fastnn.Adam(lr=parsed.lr or 0.002), 15, 32
    else:
        model, output = mnist.network(*images.shape[1:], classes=int(labels.max()) + 1), "model.safetensors"
        optimizer, epochs, batch_size = fastnn.SGD(lr=parsed.lr or 0.05, momentum=0.9, weight_decay=0.0005), 3, 64
    output = parsed.output or output
    size = "x".join(map(str, images.shape[2:]))
    print(f"training on {len(images):,} images of {size}, {len(held_out[0]):,} held out", flush=True)
    accuracy = digits.train(model, training_part, held_out, optimizer, epochs=parsed.epochs or epochs,
                            batch_size=parsed.batch_size or batch_size)
    model.save(output)
    print(f"test accuracy: {accuracy:.4f}")
    print(f"saved: {output}. To load it in Python:\n\n"
          f"    import fastnn as nn\n    model = nn.load({output!r})\n"
          f"    model.predict(images).argmax(1)         # images: uint8 or float (N, {', '.join(map(str, images.shape[1:]))})")


def _train_example(parsed):
    """train --model NAME."""
    from .results import example
    if parsed.batch_size is not None or parsed.lr is not None:
        raise ValueError(f"--batch-size and --lr are set by the example: see {example(parsed.model).__file__}")
    model = example(parsed.model).train(parsed.data, epochs=parsed.epochs, seed=parsed.seed)
    if hasattr(model, "save"):
        output = parsed.output or f"{parsed.model}.safetensors"
        model.save(output)
        print(f"saved: {output}")


def results(parsed):
    """The table of what the examples reach; fails where a bar is not reached."""
    from .results import run
    missed = [f"{name}: {result.what}" for name, result in run(parsed.data, parsed.names, parsed.seed) if result.holds is False]
    if missed:
        raise ValueError(f"below the bar: {'; '.join(missed)}")


def evaluate(parsed):
    """Accuracy of a saved model."""
    import fastnn
    model, (images, labels) = fastnn.load(parsed.model), _data(parsed.data)[1]
    found = _run(model, images)
    if found.ndim != 2:
        raise ValueError(f"{parsed.model} gives {found.shape[1:]} for an image; evaluate is for classifiers")
    print(f"test accuracy: {np.mean(found.argmax(1) == labels):.4f}")


def predict(parsed):
    """One answer a line: the class of a classifier, else the numbers."""
    import fastnn
    from . import datasets
    if parsed.images is None:
        images = datasets.load_digits("test")[0]
    elif parsed.images.endswith(".npy"):
        images = np.load(parsed.images, allow_pickle=False)
    else:
        images = datasets.load_idx(parsed.images)
    found = _run(fastnn.load(parsed.model), images)
    for row in found.argmax(1) if found.ndim == 2 and found.shape[1] > 1 else found.reshape(len(found), -1):
        print(row if row.ndim == 0 else " ".join(f"{number:g}" for number in row))


def _run(model, images):
    """model.predict; images without an axis for their one channel get it."""
    (shape,) = model.input_shapes()
    if images.ndim == len(shape) and images.shape[1:] == shape[1:] and shape[0] == 1:
        images = images[:, None]
    return model.predict(images)


def summary(parsed):
    """The table of a saved model's layers."""
    import fastnn
    fastnn.load(parsed.model).summary()


def profile(parsed):
    """Where a saved model's time goes."""
    import fastnn
    from .profile import profile as show
    show(fastnn.load(parsed.model), parsed.rows)


def info(parsed):
    """What runs here."""
    import fastnn
    fastnn.show_config()
