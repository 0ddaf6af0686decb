"""Scenes are prepared once; training and test pixels are drawn once for all methods."""


rule scene:
    input:
        card=study.card,
        sources=study.sources_of("diffclip.scene.load", "diffclip.scene.quicklook"),
    output:
        "<results>/scenes/{scene}/scene.json",
        "<results>/scenes/{scene}/quicklook.png",
    log:
        "<logs>/scenes/{scene}.log",
    benchmark:
        "<benchmarks>/scenes/{scene}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
    message:
        "preparing scene {wildcards.scene}"
    shell:
        "python -m diffclip scene {input.card} --out {params.out} > {log} 2>&1"


rule split:
    input:
        scene="<results>/scenes/{scene}/scene.json",
        sources=study.sources_of("diffclip.protocol.splits"),
    output:
        update(
            expand(
                "<results>/splits/{scene}/{protocol}/shots-{shots}/seed-{seed}.npz",
                seed=study.seeds,
                allow_missing=True,
            )
        ),
    log:
        "<logs>/splits/{scene}/{protocol}/shots-{shots}.log",
    benchmark:
        "<benchmarks>/splits/{scene}/{protocol}/shots-{shots}.tsv"
    conda:
        "../../environment.yml"
    params:
        out=study.folder,
        seeds=study.seed_list,
        margin=study.margin,
        on_small_class=study.on_small_class,
    message:
        "drawing splits: {wildcards.scene}, {wildcards.protocol}, {wildcards.shots} shots"
    shell:
        "python -m diffclip split --scene {wildcards.scene} --protocol {wildcards.protocol} --shots {wildcards.shots}"
        " --seeds {params.seeds} {params.margin} --on-small-class {params.on_small_class}"
        " --out {params.out} > {log} 2>&1"
