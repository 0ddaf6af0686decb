"""What programs outside of the suite are given: the scene without labels, and each run's training pixels."""


rule imagery:
    input:
        scene="<results>/scenes/{scene}/scene.json",
        sources=study.sources_of("diffclip.protocol.outside"),
    output:
        "<results>/tasks/{scene}/imagery.npz",
    log:
        "<logs>/tasks/{scene}/imagery.log",
    benchmark:
        "<benchmarks>/tasks/{scene}/imagery.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "writing the imagery of {wildcards.scene} for programs outside of the suite"
    shell:
        "python -m diffclip task --scene {wildcards.scene} --out {params.out} > {log} 2>&1"


rule task:
    input:
        imagery="<results>/tasks/{scene}/imagery.npz",
        # A further seed touches all splits of its draw; what decides this one is named beside it.
        split=ancient(
            "<results>/splits/{scene}/{protocol}/shots-{shots}/seed-{seed}.npz"
        ),
        sources=study.sources_of("diffclip.protocol.outside"),
        split_sources=study.sources_of("diffclip.protocol.splits"),
    output:
        "<results>/tasks/{scene}/{protocol}/shots-{shots}/seed-{seed}.npz",
    log:
        "<logs>/tasks/{scene}/{protocol}/shots-{shots}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/tasks/{scene}/{protocol}/shots-{shots}/seed-{seed}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
        margin=study.margin,
        on_small_class=study.on_small_class,
    message:
        "writing a task: {wildcards.scene}, {wildcards.protocol}, {wildcards.shots} shots, seed {wildcards.seed}"
    shell:
        "python -m diffclip task --scene {wildcards.scene} --protocol {wildcards.protocol} --shots {wildcards.shots}"
        " --seeds {wildcards.seed} {params.margin} --on-small-class {params.on_small_class}"
        " --out {params.out} > {log} 2>&1"
