"""From records to tables and figures; nothing here imports torch."""

REPORT_SOURCES = sorted(glob("report/**/*.py", recursive=True)) + glob(
    "report/*.mplstyle"
)


rule study:
    output:
        "<results>/study.json",
    log:
        "<logs>/study.log",
    benchmark:
        "<benchmarks>/study.tsv"
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
        sources=["report/__main__.py", "report/collect.py", "report/study.py"],
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


rule tables_of:
    input:
        runs="<results>/runs.csv",
        study="<results>/study.json",
        sources=REPORT_SOURCES,
    output:
        expand(
            "<results>/tables/{scene}_{protocol}_{table}.{format}",
            table=["main", "per_class"],
            format=["md", "tex", "csv"],
            allow_missing=True,
        ),
    log:
        "<logs>/tables/{scene}_{protocol}.log",
    benchmark:
        "<benchmarks>/tables/{scene}_{protocol}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "tables of {wildcards.scene}, {wildcards.protocol}"
    shell:
        "python -m report tables --study {params.out} --scene {wildcards.scene} --protocol {wildcards.protocol}"
        " > {log} 2>&1"


rule figures_of:
    input:
        runs="<results>/runs.csv",
        study="<results>/study.json",
        scene="<results>/scenes/{scene}/scene.json",
        sources=REPORT_SOURCES,
    output:
        expand(
            "<results>/figures/{scene}_{protocol}_{kind}.{format}",
            kind=["shots", "maps", "confusion"],
            format=["pdf", "png"],
            allow_missing=True,
        ),
    log:
        "<logs>/figures/{scene}_{protocol}.log",
    benchmark:
        "<benchmarks>/figures/{scene}_{protocol}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "figures of {wildcards.scene}, {wildcards.protocol}"
    shell:
        "python -m report figures --study {params.out} --scene {wildcards.scene} --protocol {wildcards.protocol}"
        " --kind shots --kind maps --kind confusion > {log} 2>&1"


rule sweep_figure_of:
    input:
        runs="<results>/runs.csv",
        study="<results>/study.json",
        sources=REPORT_SOURCES,
    output:
        expand(
            "<results>/figures/{scene}_{protocol}_sweep-{sweep}.{format}",
            format=["pdf", "png"],
            allow_missing=True,
        ),
    log:
        "<logs>/figures/{scene}_{protocol}_sweep-{sweep}.log",
    benchmark:
        "<benchmarks>/figures/{scene}_{protocol}_sweep-{sweep}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "sweep {wildcards.sweep} of {wildcards.scene}, {wildcards.protocol}"
    shell:
        "python -m report figures --study {params.out} --scene {wildcards.scene} --protocol {wildcards.protocol}"
        " --kind sweep --sweep {wildcards.sweep} > {log} 2>&1"


rule inspection_figures_of:
    input:
        runs="<results>/runs.csv",
        study="<results>/study.json",
        scene="<results>/scenes/{scene}/scene.json",
        inspection=study.inspection,
        sources=REPORT_SOURCES,
    output:
        expand(
            "<results>/figures/{scene}_{protocol}_{kind}-{method}-{variant}.{format}",
            kind=["reconstruction", "losses", "tsne"],
            format=["pdf", "png"],
            allow_missing=True,
        ),
    log:
        "<logs>/figures/{scene}_{protocol}_inspection-{method}-{variant}.log",
    benchmark:
        "<benchmarks>/figures/{scene}_{protocol}_inspection-{method}-{variant}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "figures of what {wildcards.method} ({wildcards.variant}) learned: {wildcards.scene}, {wildcards.protocol}"
    shell:
        "python -m report figures --study {params.out} --scene {wildcards.scene} --protocol {wildcards.protocol}"
        " --kind reconstruction --kind losses --kind tsne --method {wildcards.method} --variant {wildcards.variant}"
        " > {log} 2>&1"


rule tables:
    input:
        expand(
            "<results>/tables/{scene}_{protocol}_{table}.{format}",
            scene=study.scenes,
            protocol=study.protocols,
            table=["main", "per_class"],
            format=["md", "tex", "csv"],
        ),


rule figures:
    input:
        expand(
            "<results>/figures/{scene}_{protocol}_{kind}.{format}",
            scene=study.scenes,
            protocol=study.protocols,
            kind=["shots", "maps", "confusion"],
            format=["pdf", "png"],
        ),
        [
            f"<results>/figures/{scene}_{protocol}_sweep-{sweep}.{format}"
            for scene in study.scenes
            for sweep, protocol in study.sweeps
            for format in ["pdf", "png"]
        ],
        [
            f"<results>/figures/{cell.scene}_{cell.protocol}_{kind}-{cell.method}-{cell.variant}.{format}"
            for cell in study.inspected
            for kind in ["reconstruction", "losses", "tsne"]
            for format in ["pdf", "png"]
        ],
        expand("<results>/scenes/{scene}/quicklook.png", scene=study.scenes),
