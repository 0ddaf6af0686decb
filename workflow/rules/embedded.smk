"""The embedded CLIP: trained once per study, and only where a method asks for it; it sees no scene of the study."""


rule embedded_clip:
    input:
        sources=study.sources_of("diffclip.embedded.training"),
    output:
        update(study.embedded_clip),
    log:
        "<logs>/embedded-clip.log",
    benchmark:
        "<benchmarks>/embedded-clip.tsv"
    conda:
        "../../environment.yml"
    resources:
        gpu=study.gpu_per_training,
        # No parameter: what was made on one device is not made again for another.
        device=study.device,
    params:
        out=study.folder,
    message:
        "training the embedded CLIP"
    shell:
        "python -m diffclip embedded-clip --device {resources.device} --out {params.out} > {log} 2>&1"
