"""The study on one page: which config, what comes out, where each step is written.

- `snakemake --cores all` makes the quick study on simulated data.
- `snakemake --cores all --configfile config/muufl-crop.yaml` makes a study of your choice.
- `snakemake --cores 1 tables figures page` makes tables, figures and the page from the records that are there.
- `snakemake --report report.zip` puts them into Snakemake's own report, after that.
"""

from glob import glob
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from diffclip.study.workflow import read_study

min_version("9.27")


if not workflow.overwrite_configfiles:

    configfile: "config/quick.yaml"


if not Path.cwd().samefile(workflow.basedir):
    raise WorkflowError(
        f"found the working folder {Path.cwd()}, expected that of the Snakefile: add --directory {workflow.basedir}"
    )

study = read_study(config, workflow.configfiles)


pathvars:
    results=study.root,
    logs=f"logs/{study.name}",
    benchmarks=f"benchmarks/{study.name}",


wildcard_constraints:
    scene=r"[^/_]+",
    protocol="paper|standard|strict",
    shots=r"\d+",
    seed=r"\d+",
    method=r"\w+",
    variant=r"[^/]+",


include: "workflow/rules/common.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/embedded.smk"
include: "workflow/rules/methods.smk"
include: "workflow/rules/tasks.smk"
include: "workflow/rules/inspect.smk"
include: "workflow/rules/report.smk"


# Rules of your own for programs outside of the suite: docs/add-a-baseline.md.
for path in sorted(glob(f"{workflow.basedir}/workflow/outside/*.smk")):

    include: path


rule all:
    default_target: True
    input:
        # Named, so that what is missing is made: Snakemake does without files that only lead to others.
        study.drawn,
        study.records,
        rules.tables.output,
        rules.figures.input,
        rules.figures.output,
        rules.page.output,
    message:
        "all of the study is there"
