"""What answers to LiveCodeBench may use without importing it."""

from __future__ import annotations

import re

_NAMES = {
    "typing": "Any Callable Dict Iterable Iterator List Optional Set Tuple Union",
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "functools": "cache cmp_to_key lru_cache reduce",
    "itertools": "accumulate chain combinations count groupby pairwise permutations product",
    "heapq": "heapify heappop heappush heappushpop heapreplace nlargest nsmallest",
    "bisect": "bisect bisect_left bisect_right insort",
    "math": "ceil comb factorial floor gcd inf lcm log2 sqrt",
    "sys": "",
    "re": "",
    "string": "",
    "random": "",
    "operator": "",
}


def with_imports(code: str) -> str:
    """The code after imports of what it names: there, modules and their names are imported before every answer. To
    import only these keeps a short program short."""
    if "from __future__" in code:
        return code
    words = set(re.findall(r"\w+", code))
    lines = [f"import {module}" for module in _NAMES if module in words]
    lines += [f"from {module} import *" for module, names in _NAMES.items() if words & set(names.split())]
    return "\n".join([*lines, code])
