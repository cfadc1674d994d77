"""The networks of the field under their names, one family a file, built of the package's layers. A file is imported when one
of its classes is first used."""
_HOMES = {
    "Perceptron": "perceptron",
    "MLP": "mlp",
    "LeNet5": "cnn", "SmallCNN": "cnn",
    "ResNet": "resnet", "ResNet18": "resnet", "BasicBlock": "resnet", "Bottleneck": "resnet",
    "RBM": "boltzmann", "DeepBeliefNetwork": "boltzmann", "BoltzmannMachine": "boltzmann",
    "Autoencoder": "autoencoder", "ConvAutoencoder": "autoencoder", "DenoisingAutoencoder": "autoencoder",
    "VariationalAutoencoder": "autoencoder",
    "GAN": "gan", "DCGAN": "gan",
    "SequenceClassifier": "sequence_classifier", "LanguageModel": "language_model",
    "SVC": "svm", "SVR": "svm", "LinearSVC": "linear_svc", "RandomFourierFeatures": "random_fourier_features",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'fastnn.networks' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    import importlib
    globals()[name] = found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    return found


def __dir__():
    return sorted({*globals(), *_HOMES})
