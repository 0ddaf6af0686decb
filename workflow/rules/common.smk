"""What all rules share: how outputs are shown in Snakemake's report, and how a run ends."""

from os import utime
from os.path import exists
from threading import Timer, enumerate as running_threads


def reported(folder, name, format, scene):
    """Return a scene's output that Snakemake's report shows.

    `name` is PROTOCOL_KIND, with a sweep or a method after it.
    """
    protocol, _, rest = name.partition("_")
    kind, _, detail = rest.partition("-")
    texts = "../report/figures" if folder == "figures" else "../report"
    return report(
        f"<results>/{folder}/{scene}_{name}.{format}",
        caption=f"{texts}/{kind}.rst",
        category=scene,
        subcategory=f"{protocol} protocol",
        labels={"what": kind.replace("_", " "), "of": detail or "all methods"},
    )


def overview(folder, name, format):
    """Return an output over all scenes that Snakemake's report shows; `name` is KIND or PROTOCOL_KIND."""
    kind = name.rpartition("_")[2]
    texts = "../report/figures" if folder == "figures" else "../report"
    return report(
        f"<results>/{folder}/{name}.{format}",
        caption=f"{texts}/{kind}.rst",
        category="all scenes",
        labels={"what": kind.replace("-", " "), "of": name.rpartition("_")[0] or "all"},
    )


def end_pauses():
    """Cancel Snakemake's pauses between looks at waiting jobs: it would sit out the last one, a minute, before it ends."""
    for thread in running_threads():
        if isinstance(thread, Timer):
            thread.cancel()


def tell_failures():
    """Say how many runs failed: their jobs did not."""
    if failures := study.failures():
        logger.error(failures)


def let_failed_jobs_be_made_again():
    """Make what failed jobs would have replaced older than anything that decides it.

    Snakemake puts such files back as new ones and remembers what decides them now: it would never make them again.
    """
    for job in workflow.scheduler.failed:
        for path in filter(exists, job.output):
            utime(path, (1, 1))
            workflow.persistence.cleanup_metadata(path)


onsuccess:
    end_pauses()
    tell_failures()


onerror:
    end_pauses()
    tell_failures()
    if unfinished := study.unfinished():
        logger.error(unfinished)
    let_failed_jobs_be_made_again()
