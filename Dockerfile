# The main job in a container:
#
#     docker build --tag cgpo .
#     mkdir -p runs && chmod a+w runs
#     docker run --rm --shm-size=1g \
#         --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
#         --volume "$PWD/runs:/home/cgpo/runs" --volume cgpo-cache:/home/cgpo/.cache cgpo train optimizer=crpg judges=all
#
# With GPUs: build with `--build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130`, add `--gpus all` to `docker run`,
# and say `trainer=gpu`, `trainer=ddp` or `trainer=fsdp`.
#
# Programs that a policy writes run inside bubblewrap, which needs user namespaces and a /proc of its own. Docker's default
# profiles forbid them, hence the three options. Without them the judge `code` refuses to run, in one line; a run without
# it (`judges=[math,instruction_following,false_refusal,factuality,safety]` and tasks that do not list it) needs none.
#
# Written with care, but not built where it was written: no container runtime was at hand there.

FROM python:3.11-slim-bookworm AS build

# CPU wheels by default, a tenth of the size of those for CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/cgpo
WORKDIR /source

# torch first, so that a change of the code does not fetch it again; at its exact version and from its own index, since a
# resolver left to choose may take another one.
COPY constraints.txt ./
RUN /opt/cgpo/bin/pip install "$(grep '^torch==' constraints.txt)" --index-url "$TORCH_INDEX"
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY conf conf
RUN /opt/cgpo/bin/pip install --constraint constraints.txt '.[data,endpoint,lora,report,quantization]'

FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 cgpo
COPY --from=build /opt/cgpo /opt/cgpo
ENV PATH=/opt/cgpo/bin:$PATH PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
USER cgpo
WORKDIR /home/cgpo
RUN mkdir -p runs .cache

# tini passes on SIGTERM, at which a run saves and ends, and reaps what judges leave behind.
ENTRYPOINT ["tini", "--", "cgpo"]
CMD ["train"]
