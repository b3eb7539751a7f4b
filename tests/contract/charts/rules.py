"""What must never be rendered, whatever the values: each rule gives a line for each fault."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tests.contract.charts.rendering import Manifest, containers, pod_of

Rule = Callable[[Manifest], Iterator[str]]

_SECRETS: Final = {
    "DATABASE_URL", "DATABASE_READ_URL", "BACKUP_SCRATCH_URL", "REDIS_PASSWORD", "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET", "ADMIN_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS",
}  # fmt: skip
"""Variables that a person who may read Pods and ConfigMaps must not read there."""
_LOOKS_SECRET: Final = ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "://billing:")
_MOVING: Final = {"latest", "main", "master", "stable", "edge"}


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def _each(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    pod = pod_of(manifest)
    for container in [] if pod is None else containers(pod):
        yield f"{_name(manifest)} {container['name']}", container


def no_secret_is_plain(manifest: Manifest) -> Iterator[str]:
    """A secret stands in no ConfigMap, and in a container by reference only."""
    if manifest["kind"] == "Secret":
        yield f"{_name(manifest)}: a Secret is made of values"
    data: dict[str, Any] = manifest.get("data", {}) if manifest["kind"] == "ConfigMap" else {}
    for name, text in data.items():
        if name in _SECRETS or any(sign in text for sign in _LOOKS_SECRET):
            yield f"{_name(manifest)}: {name} is plain"
    for place, container in _each(manifest):
        for variable in container.get("env", []):
            plain = variable.get("value", "")
            if (variable["name"] in _SECRETS and plain) or any(sign in plain for sign in _LOOKS_SECRET):
                yield f"{place}: {variable['name']} is plain"


def nobody_is_root(manifest: Manifest) -> Iterator[str]:
    """No container may be root, or gain anything: user, privileges, capabilities, system calls."""
    pod = pod_of(manifest)
    whole = {} if pod is None else pod["spec"].get("securityContext", {})
    for place, container in _each(manifest):
        own = {**whole, **container.get("securityContext", {})}
        if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0 or own.get("runAsGroup") == 0:
            yield f"{place}: may be root"
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"{place}: may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{place}: has capabilities"
        if own.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{place}: may call anything"


def no_root_is_written(manifest: Manifest) -> Iterator[str]:
    """The root of each container is read-only."""
    for place, container in _each(manifest):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{place}: may write to its root"


def the_node_stays_its_own(manifest: Manifest) -> Iterator[str]:
    """No pod sees the node's network, processes or files, and none speaks to Kubernetes."""
    pod = pod_of(manifest)
    if pod is None:
        return
    spec = pod["spec"]
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield f"{_name(manifest)}: has the node's namespaces"
    if any("hostPath" in volume for volume in spec.get("volumes", [])):
        yield f"{_name(manifest)}: has the node's files"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{_name(manifest)}: has a token"
    for place, container in _each(manifest):
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{place}: has a port of the node"


def everything_is_limited(manifest: Manifest) -> Iterator[str]:
    """Each container has a limit of memory and of CPU, and each `emptyDir` one of its size."""
    for place, container in _each(manifest):
        limits = container.get("resources", {}).get("limits", {})
        if not {"cpu", "memory"} <= limits.keys():
            yield f"{place}: has no limits"
    pod = pod_of(manifest)
    for volume in [] if pod is None else pod["spec"].get("volumes", []):
        if "emptyDir" in volume and volume["name"] != "empty" and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f"{_name(manifest)}: volume {volume['name']} may fill the node"


def images_are_pinned(manifest: Manifest) -> Iterator[str]:
    """Each image is of a release."""
    for place, container in _each(manifest):
        image = container["image"]
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and (not tag or tag in _MOVING):
            yield f"{place}: image {image} moves"


def jobs_end(manifest: Manifest) -> Iterator[str]:
    """Each Job has a deadline and few tries; a CronJob runs once at a time and forgets; a hook is deleted."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"{_name(manifest)}: may run twice at once"
        if not {"startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"} <= spec.keys():
            yield f"{_name(manifest)}: has no deadline for its start, or no limit to its history"
        if "timeZone" not in spec:
            yield f"{_name(manifest)}: has no time zone"
        spec = spec["jobTemplate"]["spec"]
    if manifest["kind"] in {"CronJob", "Job"} and not {"activeDeadlineSeconds", "backoffLimit"} <= spec.keys():
        yield f"{_name(manifest)}: may go on for ever"
    annotations = manifest["metadata"].get("annotations", {})
    if "helm.sh/hook" in annotations:
        policy = annotations.get("helm.sh/hook-delete-policy", "")
        if not {"before-hook-creation", "hook-succeeded"} <= set(policy.split(",")):
            yield f"{_name(manifest)}: a hook that stays"
        if manifest["kind"] == "Job" and "ttlSecondsAfterFinished" not in manifest["spec"]:
            yield f"{_name(manifest)}: a hook that stays where it fails"


def drains_go_on(manifest: Manifest) -> Iterator[str]:
    """A budget lets at least one pod go, and does not wait for pods that are not ready."""
    if manifest["kind"] == "PodDisruptionBudget":
        spec = manifest["spec"]
        if str(spec.get("maxUnavailable", 1)) in {"0", "0%"} or str(spec.get("minAvailable", 0)) == "100%":
            yield f"{_name(manifest)}: blocks every drain"
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{_name(manifest)}: waits for pods that are not ready"


def selectors_are_stable(manifest: Manifest) -> Iterator[str]:
    """What an upgrade changes is no part of what selects pods."""
    if manifest["kind"] == "Deployment":
        labels = manifest["spec"]["selector"]["matchLabels"]
        if not labels.keys() <= {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}:
            yield f"{_name(manifest)}: selects by {', '.join(labels)}"


RULES: Final[Sequence[Rule]] = (
    no_secret_is_plain, nobody_is_root, no_root_is_written, the_node_stays_its_own, everything_is_limited,
    images_are_pinned, jobs_end, drains_go_on, selectors_are_stable,
)  # fmt: skip


def faults(manifests: Sequence[Manifest]) -> list[str]:
    """What breaks any of the rules, and whatever is seen only between resources."""
    return [*(fault for each in manifests for rule in RULES for fault in rule(each)), *_between(manifests)]


def _between(manifests: Sequence[Manifest]) -> Iterator[str]:
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    yield from (f"{kind}/{name}: there are two" for kind, name in sorted(set(names)) if names.count((kind, name)) > 1)
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in manifests if each["kind"] == "HorizontalPodAutoscaler"}
    for each in manifests:
        if each["kind"] == "Deployment" and each["metadata"]["name"] in scaled and "replicas" in each["spec"]:
            yield f"{_name(each)}: an upgrade undoes what the autoscaler chose"
