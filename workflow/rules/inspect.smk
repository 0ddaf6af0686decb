"""What one run of a cell learned: reconstructions of stage 1, features before and after each stage."""


rule inspect:
    input:
        scene="<results>/scenes/{scene}/scene.json",
        # A further seed touches all of them; what decides this run's is named beside them.
        made=ancient(study.inspected_split_and_checkpoint),
        embedded_clip=study.inspected_embedded_clip,
        sources=study.inspection_sources,
    output:
        "<results>/inspection/{scene}/{protocol}/{method}/{variant}/{point}/seed-{seed}.npz",
    log:
        "<logs>/inspection/{scene}/{protocol}/{method}/{variant}/{point}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/inspection/{scene}/{protocol}/{method}/{variant}/{point}/seed-{seed}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=study.gpu_per_training,
        # No parameter: what was made on one device is not made again for another.
        device=study.device,
    params:
        out=study.folder,
        arguments=study.inspection_arguments,
        margin=study.margin,
        on_small_class=study.on_small_class,
        seeds_at_once=study.seeds_at_once,
    message:
        "what {wildcards.method} ({wildcards.variant}) learned: {wildcards.scene}, {wildcards.protocol}"
    shell:
        "python -m diffclip inspect --scene {wildcards.scene} --protocol {wildcards.protocol} {params.arguments}"
        " --seed {wildcards.seed} {params.margin} --on-small-class {params.on_small_class}"
        " --device {resources.device} {params.seeds_at_once} --out {params.out} > {log} 2>&1"
