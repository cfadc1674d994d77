"""One op at a time, by torch.nn.functional's names and arguments: on arrays they run at once, on values they add a node."""
from . import graph, random
from .ops import *                                  # noqa: F401,F403
from .ops import __all__                            # noqa: F401

graph.functions["next_seed"] = random.next_seed     # dropout on arrays draws its key from the generator of manual_seed
