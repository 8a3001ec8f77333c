# syntax=docker/dockerfile:1
# The project and its environment, for a CPU or, with --build-arg DEVICE=cuda, for NVIDIA GPUs (docs/deployment.md).
FROM python:3.11-slim
ARG DEVICE=cpu

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --gid 0 --create-home medtune \
    && chmod 1777 /home/medtune \
    && git config --system --add safe.directory /medtune \
    && git config --system user.name medtune \
    && git config --system user.email medtune@localhost

# `docker run -u` may name a user without an entry in /etc/passwd. DVC asks for the user's name, others for a home.
ENV HOME=/home/medtune USER=medtune VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1

WORKDIR /medtune
COPY requirements.txt requirements-app.txt ./
# PyPI's torch is built for CUDA and brings its libraries; the CPU build satisfies the same pin.
RUN python -m venv "$VIRTUAL_ENV" \
    && if [ "$DEVICE" = cpu ]; then \
        pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)"; \
    fi \
    && pip install --requirement requirements-app.txt

COPY . .
# Group 0, which `docker run -u NUMBER` gives to any user, may write what its owner may.
RUN pip install --no-index --no-deps --no-build-isolation --editable . \
    && chown -R 1000:0 /medtune \
    && chmod -R g=u /medtune

USER 1000
# The port of `medtune chat`, whose options are in app/__main__.py.
EXPOSE 8000
CMD ["sh", "-c", "dvc repro && medtune summary"]
