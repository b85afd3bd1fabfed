"""The platform of one environment: what there is, and in which order."""

import pulumi

from infra.platform import site
from infra.platform.accelerators import Accelerators, AcceleratorsArgs
from infra.platform.admission import Admission, AdmissionArgs
from infra.platform.autoscaler import Autoscaler, AutoscalerArgs
from infra.platform.delivery import Delivery, DeliveryArgs
from infra.platform.devices import Devices, DevicesArgs
from infra.platform.doorkeeper import Doorkeeper, DoorkeeperArgs
from infra.platform.gateway import Gateway, GatewayArgs
from infra.platform.metrics import Metrics, MetricsArgs
from infra.platform.model_access import ModelAccess, ModelAccessArgs
from infra.platform.monitoring import Monitoring, MonitoringArgs
from infra.platform.namespaces import Namespaces, NamespacesArgs
from infra.platform.registry import Registry, RegistryArgs
from infra.platform.routes import Routes, RoutesArgs
from infra.platform.shippers import Shippers, ShippersArgs
from infra.platform.storage import Storage, StorageArgs

environment, contract = site.load(pulumi.get_stack())
on = pulumi.ResourceOptions(providers=[site.cluster(contract)])

Admission("admission", AdmissionArgs(contract=contract), on)
spaces = NamespacesArgs(contract=contract, models=environment.models)
names = Namespaces("namespaces", spaces, on).names
disks = StorageArgs(contract=contract, namespace=names["storage"])
volumes = Storage("storage", disks, on).storage_class
registry = RegistryArgs(
    contract=contract,
    namespace=names["registry"],
    storage_class=volumes,
    gib=environment.registry_gib,
)
Registry("registry", registry, on)
gateway_args = GatewayArgs(contract=contract, namespace=names["gateway"], models=names["models"])
gateway = Gateway("gateway", gateway_args, on)
entrance = DoorkeeperArgs(contract=contract, namespace=names["gateway"])
doorkeeper = Doorkeeper("doorkeeper", entrance, on)
routes = RoutesArgs(
    contract=contract,
    namespace=names["gateway"],
    certificate=gateway.certificate,
    doorkeeper=doorkeeper.service,
    definitions=gateway.definitions,
)
Routes("routes", routes, on)
delivery = DeliveryArgs(contract=contract, namespace=names["delivery"], models=names["models"])
Delivery("delivery", delivery, on)
ModelAccess("model-access", ModelAccessArgs(contract=contract, namespace=names["models"]), on)
Shippers("shippers", ShippersArgs(contract=contract, namespace=names["models"]), on)

Metrics("metrics", MetricsArgs(contract=contract, namespace=names["monitoring"]), on)
monitoring = MonitoringArgs(
    contract=contract,
    namespace=names["monitoring"],
    namespaces=names,
    storage_class=volumes,
    retention_days=environment.prometheus_retention_days,
)
Monitoring("monitoring", monitoring, on)
accelerators = AcceleratorsArgs(contract=contract, namespace=names["accelerators"])
Accelerators("accelerators", accelerators, on)
Devices("devices", DevicesArgs(contract=contract, namespace=names["accelerators"]), on)
Autoscaler("autoscaler", AutoscalerArgs(contract=contract, namespaces=names), on)

pulumi.export("gateway", contract.gateway.url)
