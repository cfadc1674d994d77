"""Support vector machines with kernels: SVC, SVR. Names, arguments and attributes are scikit-learn's."""
import numpy as np

from . import _smo
from ._estimator import accuracy, features, label_numbers, number, sample_weights, targets, whole

__all__ = ["SVC", "SVR"]


class _KernelMachine:
    """What SVC and SVR share: the kernel's arguments, checks, and sums over support vectors."""

    def __init__(self, C=1.0, kernel="rbf", degree=3, gamma="scale", coef0=0.0, tol=1e-3, cache_size=200, max_iter=-1):
        self.C, self.kernel, self.degree, self.gamma, self.coef0 = C, kernel, degree, gamma, coef0
        self.tol, self.cache_size, self.max_iter = tol, cache_size, max_iter
        self._check()

    def _check(self):
        who = type(self).__name__
        for name in ("C", "tol", "cache_size"):
            number(who, name, getattr(self, name), above=0)
        if self.kernel not in _smo.KINDS:
            raise ValueError(f"{who}: kernel must be one of {', '.join(map(repr, _smo.KINDS))}, got {self.kernel!r}")
        if self.gamma not in ("scale", "auto"):
            number(who, "gamma", self.gamma, above=0)
        number(who, "coef0", self.coef0)
        for name, least in (("degree", 0), ("max_iter", -1)):
            whole(who, name, getattr(self, name), least)

    def _make_kernel(self, x):
        if self.kernel == "linear":
            return _smo.Kernel("linear")
        spread = x.shape[1] * x.var() if self.gamma == "scale" else x.shape[1]
        gamma = float(self.gamma) if not isinstance(self.gamma, str) else 1.0 / spread if spread > 0 else 1.0
        return _smo.Kernel(self.kernel, gamma, float(self.coef0), int(self.degree))

    def _prepare(self, x, runs):
        """-> the kernel, the training rows, what is subtracted from all rows: a Gaussian does not see it, and rows far from
        zero keep their digits in float32."""
        kernel = self._make_kernel(x)
        origin = x.mean(0) if self.kernel == "rbf" else 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            rows = _smo.Rows.of(x - origin, runs)
            if not np.isfinite(rows.diagonal(kernel)).all():
                raise ValueError(f"{type(self).__name__}: kernel values of these rows are beyond float32's range; scale them, "
                                 f"to [0, 1] or to variance 1 say (the largest number is {np.abs(x).max():.3g})")
        return kernel, rows, origin

    def _solve(self, kernel, rows, problems):
        found = _smo.solve(kernel, rows, problems, float(self.tol), int(self.max_iter), self.cache_size * 1e6)
        if not all(s.converged for s in found):
            import warnings
            warnings.warn(f"{type(self).__name__}: stopped after max_iter={self.max_iter} steps before the optimum "
                          f"(tol={self.tol})", RuntimeWarning, stacklevel=3)
        return found

    def _keep(self, kernel, origin, vectors, weights, intercepts):
        """What decision sums are made of: weights (sums, support vectors), intercepts (sums,)."""
        if kernel.kind == "linear":
            weights, vectors = weights @ vectors, None
        else:
            vectors = _smo.Rows.of(vectors - origin)
            weights = np.pad(weights, ((0, 0), (0, len(vectors.x) - weights.shape[1])))
        self._machine = kernel, origin, vectors, _smo.Rows.of(weights)
        self._weights, self._intercepts = weights, intercepts

    def _sums(self, x):
        """Each row's sums over the support vectors plus the intercepts, float64 (rows, sums)."""
        self._need_fit()
        x = features(type(self).__name__, x, self.n_features_in_)
        kernel, origin, vectors, weights = self._machine
        out = np.empty((len(x), len(self._intercepts)))
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = _smo.Rows.of(x[start:start + ROWS_AT_ONCE] - origin)
            if vectors is not None:
                rows = _smo.Rows(_smo.kernel_matrix(kernel, rows, vectors))
            sums = _smo.kernel_matrix(LINEAR, rows, weights)
            out[start:start + ROWS_AT_ONCE] = sums[:len(x) - start, :out.shape[1]]
        return out + self._intercepts

    def _need_fit(self):
        if not hasattr(self, "n_features_in_"):
            raise RuntimeError(f"{type(self).__name__}: call fit first")

    @property
    def coef_(self):
        """The weights of the features, (sums, features), where kernel="linear"; AttributeError elsewhere."""
        if self.kernel != "linear" or not hasattr(self, "n_features_in_"):
            raise AttributeError(f'{type(self).__name__}: coef_ is there after fit, with kernel="linear"')
        return self._weights

    def __repr__(self):
        shown = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_") and not k.endswith("_"))
        return f"{type(self).__name__}({shown})"


ROWS_AT_ONCE = 2048                 # whose kernel values lie in memory while a decision is computed
LINEAR = _smo.Kernel("linear")


class SVC(_KernelMachine):
    """The support vector classifier (Cortes and Vapnik 1995, doi:10.1007/BF00994018), two classes or, by a machine for each
    pair of classes, more.

    Args: C=1.0, the price of a row on the wrong side of its margin; kernel="rbf" | "linear" | "poly": exp(-gamma |x - z|^2),
    x.z, (gamma x.z + coef0)^degree; degree=3; gamma="scale": 1 / (features * the variance of x), "auto": 1 / features, or a
    number; coef0=0.0; tol=1e-3: ends where no two rows violate the optimum's conditions by more; cache_size=200: MB for
    kernel values; class_weight=None: {class: factor of C} or "balanced"; max_iter=-1: steps at most, -1 for no limit;
    decision_function_shape="ovr" | "ovo".
    After fit: classes_ (k,); support_ (n_SV,), the support vectors' row numbers, class by class; support_vectors_ (n_SV,
    features); n_support_ (k,); dual_coef_ (k - 1, n_SV), intercept_ and n_iter_ (pairs,); coef_ (pairs, features) of a linear
    kernel; fit_status_: 1 where max_iter ended it; n_features_in_. All are laid out and signed as scikit-learn's.
    Kernel values are float32, the solver's variables float64. Results do not depend on the number of threads.
    Raises ValueError for arguments out of their range."""

    def __init__(self, C=1.0, kernel="rbf", degree=3, gamma="scale", coef0=0.0, tol=1e-3, cache_size=200, class_weight=None,
                 max_iter=-1, decision_function_shape="ovr"):
        self.class_weight, self.decision_function_shape = class_weight, decision_function_shape
        super().__init__(C, kernel, degree, gamma, coef0, tol, cache_size, max_iter)

    def _check(self):
        super()._check()
        if self.decision_function_shape not in ("ovr", "ovo"):
            raise ValueError(f"SVC: decision_function_shape must be 'ovr' or 'ovo', got {self.decision_function_shape!r}")
        if self.class_weight not in (None, "balanced") and not isinstance(self.class_weight, dict):
            raise ValueError(f"SVC: class_weight must be None, 'balanced' or a dict, got {self.class_weight!r}")

    def fit(self, x, y, sample_weight=None):
        """Learns; -> self. x: (N, features), or (N, ...), flattened; any dtype and strides. y: (N,) labels of any kind, two
        classes or more. sample_weight: (N,) factors of C. ValueError: NaN or infinity, lengths that differ, one class."""
        self._check()
        x = features("SVC", x)
        classes, labels = label_numbers("SVC", y, len(x))
        price = self.C * sample_weights("SVC", sample_weight, len(x)) * self._class_factors(classes, labels)
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        kernel, rows, origin = self._prepare(x[order], counts)
        begins = np.cumsum([0, *map(_smo.padded, counts)])
        at = np.arange(len(x)) + np.repeat(begins[:-1] - np.cumsum([0, *counts[:-1]]), counts)      # of the sorted rows
        bound = np.zeros(begins[-1])
        bound[at] = price[order]
        pairs = [(i, j) for i in range(len(classes)) for j in range(i + 1, len(classes))]
        found = self._solve(kernel, rows, [self._problem(begins, bound, pair) for pair in pairs])
        weights = np.zeros((len(pairs), begins[-1]))
        for row, pair, solution in zip(weights, pairs, found):
            row[:] = np.concatenate([np.zeros(0)] + self._spread(solution.coefficients, begins, pair))
        weights = weights[:, at]                                                                    # (pairs, sorted rows)
        self._finish(x, order, labels, classes, pairs, kernel, origin, weights, found)
        return self

    def _class_factors(self, classes, labels):
        if self.class_weight is None:
            return 1.0
        if self.class_weight == "balanced":
            factors = len(labels) / (len(classes) * np.bincount(labels))
        else:
            unknown = [c for c in self.class_weight if c not in classes]
            if unknown:
                raise ValueError(f"SVC: class_weight names {unknown[0]!r}, which is not among the labels")
            factors = np.array([number("SVC", f"class_weight[{c!r}]", self.class_weight.get(c, 1.0), least=0)
                                for c in classes.tolist()])
        return factors[labels]

    @staticmethod
    def _problem(begins, bound, pair):
        runs = tuple((int(begins[c]), int(begins[c + 1] - begins[c])) for c in pair)
        sign = np.repeat([1.0, -1.0], [length for _, length in runs])
        bounds = np.concatenate([bound[begin:begin + length] for begin, length in runs])
        return _smo.Problem(runs, sign, bounds, -sign)

    @staticmethod
    def _spread(coefficients, begins, pair):
        """The pair's coefficients among zeros for the rows of all classes, class by class."""
        parts = [np.zeros(end - begin) for begin, end in zip(begins, begins[1:])]
        parts[pair[0]] = coefficients[:len(parts[pair[0]])]
        parts[pair[1]] = coefficients[len(parts[pair[0]]):]
        return parts

    def _finish(self, x, order, labels, classes, pairs, kernel, origin, weights, found):
        sign = -1.0 if len(classes) == 2 else 1.0           # of two classes, the second is the positive one
        chosen = np.flatnonzero(weights.any(0))
        weights, of_class = sign * weights[:, chosen], labels[order][chosen]
        dual = np.zeros((len(classes) - 1, len(chosen)))
        for row, (i, j) in zip(weights, pairs):
            dual[j - 1, of_class == i] = row[of_class == i]
            dual[i, of_class == j] = row[of_class == j]
        self.classes_, self.n_features_in_, self.support_ = classes, x.shape[1], order[chosen]
        self.support_vectors_, self.dual_coef_ = x[self.support_], dual
        self.n_support_ = np.bincount(of_class, minlength=len(classes))
        self.intercept_ = sign * -np.array([s.offset for s in found])
        self.n_iter_ = np.array([s.iterations for s in found])
        self.fit_status_ = int(not all(s.converged for s in found))
        self._keep(kernel, origin, self.support_vectors_, weights, self.intercept_)

    def decision_function(self, x):
        """float64: of two classes (N,), positive for the second; of more (N, pairs) with "ovo", each positive for the pair's
        first class; (N, classes) with "ovr": the pairs won, and less than 1/3 by how much."""
        sums = self._sums(x)
        if len(self.classes_) == 2:
            return sums[:, 0]
        if self.decision_function_shape == "ovo":
            return sums
        votes, confidence = self._votes(sums)
        return votes + confidence / (3 * (np.abs(confidence) + 1))

    def _votes(self, sums):
        """-> (N, classes) pairs won, (N, classes) the sum of its pairs' decisions."""
        votes, confidence = np.zeros((2, len(sums), len(self.classes_)))
        for k, (i, j) in enumerate(zip(*np.triu_indices(len(self.classes_), 1))):
            votes[:, i] += sums[:, k] >= 0
            votes[:, j] += sums[:, k] < 0
            confidence[:, i] += sums[:, k]
            confidence[:, j] -= sums[:, k]
        return votes, confidence

    def predict(self, x):
        """The labels (N,): of more than two classes the one that wins most pairs, the first of equals."""
        sums = self._sums(x)
        if len(self.classes_) == 2:
            return self.classes_[(sums[:, 0] > 0).astype(int)]
        return self.classes_[self._votes(sums)[0].argmax(1)]

    def score(self, x, y):
        """The share of rows whose label is predicted."""
        return accuracy("SVC", self.predict(x), y)


class SVR(_KernelMachine):
    """Support vector regression (Drucker and others 1996; Smola and Schoelkopf 2004, doi:10.1023/B:STCO.0000035301.49549.88):
    only errors beyond epsilon cost, C each unit.

    Args: as SVC's; epsilon=0.1, at least 0. After fit: support_, support_vectors_, dual_coef_ (1, n_SV), intercept_ (1,),
    n_support_ (1,), n_iter_, coef_ (1, features) of a linear kernel, fit_status_, n_features_in_."""

    def __init__(self, C=1.0, kernel="rbf", degree=3, gamma="scale", coef0=0.0, tol=1e-3, epsilon=0.1, cache_size=200,
                 max_iter=-1):
        self.epsilon = epsilon
        super().__init__(C, kernel, degree, gamma, coef0, tol, cache_size, max_iter)

    def _check(self):
        super()._check()
        number("SVR", "epsilon", self.epsilon, least=0)

    def fit(self, x, y, sample_weight=None):
        """Learns; -> self. x as SVC's; y: (N,) numbers; sample_weight: (N,) factors of C. ValueError: NaN or infinity, lengths
        that differ."""
        self._check()
        x = features("SVR", x)
        y = targets("SVR", y, len(x))
        kernel, rows, origin = self._prepare(x, None)
        bound, target = np.zeros((2, len(rows.x)))
        bound[:len(x)] = self.C * sample_weights("SVR", sample_weight, len(x))
        target[:len(x)] = y
        sign = np.repeat([1.0, -1.0], len(target))
        problem = _smo.Problem(((0, len(target)),), sign, np.tile(bound, 2), np.tile(-target, 2) + sign * self.epsilon)
        (found,) = self._solve(kernel, rows, [problem])
        weights = found.coefficients.reshape(2, -1).sum(0)[:len(x)]
        self.support_ = np.flatnonzero(weights)
        self.support_vectors_, self.dual_coef_ = x[self.support_], weights[None, self.support_]
        self.n_features_in_, self.n_support_ = x.shape[1], np.array([len(self.support_)])
        self.intercept_, self.n_iter_, self.fit_status_ = np.array([-found.offset]), found.iterations, int(not found.converged)
        self._keep(kernel, origin, self.support_vectors_, self.dual_coef_, self.intercept_)
        return self

    def predict(self, x):
        """float64 (N,)."""
        return self._sums(x)[:, 0]

    def score(self, x, y):
        """R^2: 1 less the squared errors' sum over that of y's deviations from its mean."""
        found = self.predict(x)
        y = targets("SVR", y, len(found))
        return float(1 - ((y - found) ** 2).sum() / ((y - y.mean()) ** 2).sum())
