"""A door's routes by path: which template a path matches, and with which methods. No redirects: `/a/` is not `/a`."""

from collections.abc import Iterable

from headrace.wire.door import Route

Methods = dict[str, Route]


class Table:
    """Templates like `/a/{b}`; a fixed part wins over a parameter, part by part from the left."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, Methods] = {}
        self._open: dict[int, list[tuple[tuple[str, ...], Methods]]] = {}
        for route in routes:
            methods = self._slot(route.template)
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.template}")
            methods[route.method] = route
        for templates in self._open.values():
            templates.sort(key=lambda entry: [part.startswith("{") for part in entry[0]])

    def _slot(self, template: str) -> Methods:
        if "{" not in template:
            return self._fixed.setdefault(template, {})
        parts = tuple(template.split("/"))
        same = self._open.setdefault(len(parts), [])
        shape = ["{" if part.startswith("{") else part for part in parts]
        for known, methods in same:
            # Two names for one parameter (`{project_slug}`, `{project_id}`) are one place with two methods.
            if ["{" if part.startswith("{") else part for part in known] == shape:
                return methods
        added: Methods = {}
        same.append((parts, added))
        return added

    def find(self, path: str) -> Methods | None:
        """Return the routes at `path` by method, or None where there is nothing."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        parts = path.split("/")
        for template, methods in self._open.get(len(parts), ()):
            pairs = zip(template[1:], parts[1:], strict=True)
            if all(part and (part == own or own.startswith("{")) for own, part in pairs):
                return methods
        return None
