# Teiki's image: worker, migrations, codec server and sandbox gateway are commands of it.
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies change less often than code: a layer of their own, every hash checked.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY . .
RUN pip install --no-deps --no-build-isolation -e . \
 && useradd --create-home --uid 10001 teiki \
 && mkdir -m 0700 /data /exports && chown teiki /data /exports
USER teiki

CMD ["python", "-m", "worker"]
