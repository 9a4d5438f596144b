"""A download over every link, with how far it is."""

import sys

import mphttp

url, path = sys.argv[1:]


def show(progress: mphttp.Progress) -> None:
    print(
        f"{progress.bytes} of {progress.total} bytes, {progress.strategy}: {progress.links}", file=sys.stderr
    )


done = mphttp.download(url, path, resume=True, progress=show)
print(f"{done.bytes} bytes, {done.transport}")
