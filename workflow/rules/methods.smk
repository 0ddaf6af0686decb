"""A job makes all seeds of a cell; the command keeps finished runs whose fingerprint still fits."""


rule method:
    input:
        scene="<results>/scenes/{scene}/scene.json",
        splits=study.splits,
        checkpoints=study.checkpoints,
        embedded_clip=study.embedded_clip_of,
        answers=study.answers,
        sources=study.method_sources,
    output:
        update(
            expand(
                "<results>/records/{scene}/{protocol}/{method}/{variant}/{point}/seed-{seed}.json",
                seed=study.seeds,
                allow_missing=True,
            )
        ),
    log:
        "<logs>/records/{scene}/{protocol}/{method}/{variant}/{point}.log",
    benchmark:
        "<benchmarks>/records/{scene}/{protocol}/{method}/{variant}/{point}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=study.gpus,
        # No parameter: what was made on one device is not made again for another.
        device=study.device,
    params:
        out=study.folder,
        arguments=study.method_arguments,
        seeds=study.seed_list,
        margin=study.margin,
        on_small_class=study.on_small_class,
        seeds_at_once=study.seeds_at_once,
    message:
        "{wildcards.method} ({wildcards.variant}): {wildcards.scene}, {wildcards.protocol}, {wildcards.point}"
    shell:
        "python -m diffclip run --scene {wildcards.scene} --protocol {wildcards.protocol} {params.arguments}"
        " --seeds {params.seeds} {params.margin} --on-small-class {params.on_small_class}"
        " --device {resources.device} {params.seeds_at_once} --out {params.out} > {log} 2>&1"
