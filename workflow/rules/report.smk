"""From records to tables and figures; nothing here imports torch."""

# Snakemake's report shows HTML and PNG; the others are for papers.
TABLE_FORMATS = ["md", "tex", "csv"]
COMMAND = "report/__main__.py"
STYLE = "report/style.mplstyle"
# What the page shows besides; what code it is made by, and every table and figure, Python's imports tell.
PAGE_PARTS = glob("report/page/page.*") + sorted(
    glob("workflow/report/**/*.rst", recursive=True)
)


rule study:
    output:
        "<results>/study.json",
    log:
        "<logs>/study.log",
    benchmark:
        "<benchmarks>/study.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
        json=study.json,
    message:
        "writing down the study as it was asked for"
    shell:
        "printf '%s\\n' {params.json:q} > {output} 2> {log}"


rule runs:
    input:
        study="<results>/study.json",
        records=study.records,
        sources=[COMMAND, *study.sources_of("report.collect")],
    output:
        "<results>/runs.csv",
    log:
        "<logs>/runs.log",
    benchmark:
        "<benchmarks>/runs.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "collecting all records into one table of runs"
    shell:
        "python -m report runs --study {params.out} > {log} 2>&1"


rule predictions:
    input:
        runs="<results>/runs.csv",
        scenes=expand("<results>/scenes/{scene}/scene.json", scene=study.scenes),
        sources=[COMMAND, *study.sources_of("report.predictions")],
    output:
        "<results>/predictions.csv",
    log:
        "<logs>/predictions.log",
    benchmark:
        "<benchmarks>/predictions.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "comparing the stored predictions of every run with its record"
    shell:
        "python -m report check --study {params.out} > {log} 2>&1"


# One job for the tables of all scenes: they take less time than starting a process for each.
rule tables:
    input:
        runs="<results>/runs.csv",
        predictions="<results>/predictions.csv",
        study="<results>/study.json",
        sources=[COMMAND, *study.sources_of("report.tables"), "report/published.yaml"],
    output:
        expand(
            "<results>/tables/{name}.{format}",
            name=study.overviews,
            format=TABLE_FORMATS,
        ),
        expand(
            "<results>/tables/{scene}_{name}.{format}",
            scene=study.scenes,
            name=study.tables,
            format=TABLE_FORMATS,
        ),
        [overview("tables", name, "html") for name in study.overviews],
        [
            reported("tables", name, "html", scene)
            for scene in study.scenes
            for name in study.tables
        ],
    log:
        "<logs>/tables.log",
    benchmark:
        "<benchmarks>/tables.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "tables of all scenes"
    shell:
        "python -m report tables --study {params.out} > {log} 2>&1"


# One job for the figures of all scenes, as for tables.
rule figures:
    input:
        runs="<results>/runs.csv",
        predictions="<results>/predictions.csv",
        study="<results>/study.json",
        scenes=expand("<results>/scenes/{scene}/scene.json", scene=study.scenes),
        quicklooks=expand("<results>/scenes/{scene}/quicklook.png", scene=study.scenes),
        inspections=study.inspections,
        sources=[COMMAND, *study.sources_of("report.figures"), STYLE],
    output:
        expand("<results>/figures/{name}.pdf", name=study.overview_figures),
        expand(
            "<results>/figures/{scene}_{name}.pdf",
            scene=study.scenes,
            name=study.figures,
        ),
        [overview("figures", name, "png") for name in study.overview_figures],
        [
            reported("figures", name, "png", scene)
            for scene in study.scenes
            for name in study.figures
        ],
    log:
        "<logs>/figures.log",
    benchmark:
        "<benchmarks>/figures.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "figures of all scenes"
    shell:
        "python -m report figures --study {params.out} > {log} 2>&1"


rule page:
    input:
        runs="<results>/runs.csv",
        study="<results>/study.json",
        tables=rules.tables.output,
        figures=rules.figures.output,
        quicklooks=rules.figures.input.quicklooks,
        sources=[COMMAND, *study.sources_of("report.page"), *PAGE_PARTS],
    output:
        "<results>/index.html",
    log:
        "<logs>/page.log",
    benchmark:
        "<benchmarks>/page.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "one page with all tables, figures and runs"
    shell:
        "python -m report page --study {params.out} > {log} 2>&1"
