"""Stage 1 depends on no label and no shots: one checkpoint per scene, settings and seed serves every cell."""


rule pretrain:
    input:
        scene="<results>/scenes/{scene}/scene.json",
        sources=study.pretraining_sources,
    output:
        update(
            expand(
                "<results>/pretrained/{scene}/{checkpoint}/seed-{seed}.{suffix}",
                seed=study.seeds,
                suffix=["safetensors", "log.json"],
                allow_missing=True,
            )
        ),
    log:
        "<logs>/pretrained/{scene}/{checkpoint}.log",
    benchmark:
        "<benchmarks>/pretrained/{scene}/{checkpoint}.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=study.gpu_per_training,
        # No parameter: what was made on one device is not made again for another.
        device=study.device,
    params:
        out=study.folder,
        arguments=study.pretraining_arguments,
        seeds=study.seed_list,
        seeds_at_once=study.seeds_at_once,
    message:
        "pretraining {wildcards.checkpoint} on {wildcards.scene}"
    shell:
        "python -m diffclip pretrain --scene {wildcards.scene} {params.arguments} --seeds {params.seeds}"
        " --device {resources.device} {params.seeds_at_once} --out {params.out} > {log} 2>&1"
