"""Whose face is it? A convolutional network on the ORL faces, five images of each of 40 people to learn from.

    python -m fastnn.examples.faces DATA"""
import sys

import numpy as np

import fastnn as nn
from fastnn.datasets import load_faces
from fastnn.examples import _training as training
from fastnn.results import Result


def parts(data):
    """((images, labels) to train on, the same held out): the first five images of each person, the last five."""
    images, labels = load_faces(data)
    first = np.arange(len(labels)) % 10 < 5
    return (images[first], labels[first]), (images[~first], labels[~first])


def network(people=40):
    """For images (N, 1, 112, 92): 200 are few, so in training each is shown at other places, up to six pixels off, every time;
    then it is halved. The linear layer sees which map found what where: eyes are above the
    mouth (a mean over the maps, as SmallCNN has it, does worse here)."""
    layers, channels = [nn.RandomShift(6), nn.AvgPool2d(2)], 1
    for width in (16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * 7 * 5, people))


def fit(training_part, people=40, *, epochs=40, seed=0, verbose="auto"):
    """A network, new and trained. (Network, rate and epochs were chosen on the first five images of each person: three to train
    on, two to look.)"""
    nn.manual_seed(seed)
    return training.fit(network(people), training_part, training.sgd(0.02), epochs=epochs, batch_size=20, verbose=verbose)


def train(data=None, *, epochs=None, seed=0, quick=False):
    """The recipe; -> the trained network. `data`: a folder with the faces. quick: the first four people, 3 epochs."""
    if data is None:
        raise ValueError("the ORL faces are not part of the package; give --data, the folder that holds faces/orl_faces.zip")
    training_part, held_out = parts(data)
    people = 4 if quick else 40
    training_part, held_out = [(images[:5 * people], labels[:5 * people]) for images, labels in (training_part, held_out)]
    model = fit(training_part, people, epochs=epochs or (3 if quick else 40), seed=seed)
    (images, labels), found = held_out, model.predict(held_out[0]).argmax(1)
    for i in np.flatnonzero(found != labels)[:1]:
        pair = np.hstack([images[i, 0, ::4, ::4], training_part[0][5 * found[i], 0, ::4, ::4]])
        print(f"\nperson {labels[i] + 1}, whom it takes for person {found[i] + 1} (right):\n{training.ascii_art(pair)}")
    print(f"""
accuracy on {len(labels)} images it has not seen: {np.mean(found == labels):.4f}

What to see: chance would be {1 / people:.3f}. Five images of a person are enough, because nearly all of the network (lines,
eyes, beards, glasses) is learned from everybody's images, and because every epoch shows them at other places.""")
    return model


def results(data, *, seed=0):
    """Beside eigenfaces: the nearest neighbour among principal components (Turk, Pentland 1991)."""
    training_part, held_out = parts(data)
    model, took = training.seconds(lambda: fit(training_part, seed=seed))
    peer, theirs = eigenfaces(training_part, held_out)
    yield Result("5 of 10 images, test accuracy", training.accuracy(model, held_out), 0.95, peer=peer, peer_value=theirs,
                 note=f"trained in {took:.0f} s")


def eigenfaces(training_part, held_out, components=80):
    """(name, accuracy) of scikit-learn's PCA and nearest neighbour, ("", None) where it is not installed."""
    try:
        from sklearn.decomposition import PCA
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
    except ImportError:
        return "", None
    peer = make_pipeline(PCA(components, random_state=0), KNeighborsClassifier(1))
    peer.fit(training_part[0].reshape(len(training_part[0]), -1) / 255, training_part[1])
    return "scikit-learn eigenfaces", float(peer.score(held_out[0].reshape(len(held_out[0]), -1) / 255, held_out[1]))


if __name__ == "__main__":
    train(*sys.argv[1:2])
