"""What one run of a cell learned: reconstructions of stage 1, features before and after each stage."""


rule inspect:
    input:
        scene="<results>/scenes/{scene}/scene.json",
        decided_by=study.inspected_inputs,
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
    params:
        out=study.folder,
        arguments=study.inspection_arguments,
        margin=study.margin,
        on_small_class=study.on_small_class,
        device=study.device,
        seeds_at_once=study.seeds_at_once,
    message:
        "what {wildcards.method} ({wildcards.variant}) learned: {wildcards.scene}, {wildcards.protocol}"
    shell:
        "python -m diffclip inspect --scene {wildcards.scene} --protocol {wildcards.protocol} {params.arguments}"
        " --seed {wildcards.seed} --margin {params.margin} --on-small-class {params.on_small_class}"
        " --device {params.device} {params.seeds_at_once} --out {params.out} > {log} 2>&1"
