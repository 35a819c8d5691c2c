"""The calls that Terraform makes for Lambda, resource by resource, after the source of its provider:
`internal/service/lambda/*.go` of https://github.com/hashicorp/terraform-provider-aws.

A resource is created, read into attributes, updated in what changed and deleted, with the provider's own waiters. What
the configuration does not set has to read as the provider's default, or the next plan shows a difference."""

import base64
import hashlib
import json

from botocore.exceptions import ClientError

from support.waiting import wait_for

MOST_VERSIONS = 10_000


def digest(zip_bytes):
    return base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()


def found(call, **arguments):
    """What a call gives; None where the provider takes the resource for gone."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"].endswith("NotFoundException"):
            return None
        raise


class Resource:
    """A resource in the state of Terraform."""

    DEFAULTS = {}

    def __init__(self, client, config):
        self.client = client
        self.config = config

    def wanted(self):
        return self.DEFAULTS | self.config

    def plan(self):
        """What differs from the configuration: attribute to what is wanted and what is there."""
        there = self.read()
        return {
            name: (value, there.get(name)) for name, value in self.wanted().items() if there.get(name) != value
        }

    def apply(self, config):
        """Changes the resource to another configuration."""
        before, self.config = self.wanted(), config
        changed = {name: value for name, value in self.wanted().items() if before[name] != value}
        self.update(changed)
        if "tags" in changed:
            self.change_tags(before["tags"], changed["tags"])

    def change_tags(self, before, after):
        """As the provider's own `updateTags`: what goes first, then what comes."""
        gone = sorted(set(before) - set(after))
        if gone:
            self.client.untag_resource(Resource=self.arn, TagKeys=gone)
        new = {key: value for key, value in after.items() if before.get(key) != value}
        if new:
            self.client.tag_resource(Resource=self.arn, Tags=new)


class Function(Resource):
    """`function.go`."""

    DEFAULTS = {
        "architectures": ["x86_64"],
        "code_signing_config_arn": "",
        "dead_letter_config": None,
        "description": "",
        "environment": None,
        "ephemeral_storage": 512,
        "file_system_config": [],
        "kms_key_arn": "",
        "layers": [],
        "memory_size": 128,
        "package_type": "Zip",
        "reserved_concurrent_executions": -1,
        "snap_start": None,
        "source_kms_key_arn": "",
        "tags": {},
        "timeout": 3,
        "tracing_config": "PassThrough",
        "vpc_config": None,
    }
    # Attributes of UpdateFunctionConfiguration, and how their values are sent.
    MEMBERS = {
        "description": lambda value: {"Description": value},
        "environment": lambda value: {"Environment": {"Variables": value or {}}},
        "ephemeral_storage": lambda value: {"EphemeralStorage": {"Size": value}},
        "handler": lambda value: {"Handler": value},
        "layers": lambda value: {"Layers": value},
        "logging_config": lambda value: {"LoggingConfig": value},
        "memory_size": lambda value: {"MemorySize": value},
        "role": lambda value: {"Role": value},
        "runtime": lambda value: {"Runtime": value},
        "timeout": lambda value: {"Timeout": value},
        "tracing_config": lambda value: {"TracingConfig": {"Mode": value}},
    }

    def __init__(self, client, name, zip_bytes, config):
        super().__init__(client, config | {"code_sha256": digest(zip_bytes)})
        self.name, self.zip_bytes = name, zip_bytes

    def create(self):
        optional = {
            "environment": lambda value: {"Environment": {"Variables": value}},
            "ephemeral_storage": self.MEMBERS["ephemeral_storage"],
            "layers": self.MEMBERS["layers"],
            "logging_config": self.MEMBERS["logging_config"],
            "tracing_config": self.MEMBERS["tracing_config"],
            "code_signing_config_arn": lambda value: {"CodeSigningConfigArn": value},
        }
        request = {
            "FunctionName": self.name,
            "Code": {"ZipFile": self.zip_bytes},
            "Description": self.wanted()["description"],
            "Handler": self.config["handler"],
            "MemorySize": self.wanted()["memory_size"],
            "PackageType": "Zip",
            "Publish": True,
            "Role": self.config["role"],
            "Runtime": self.config["runtime"],
            "Tags": self.wanted()["tags"],
            "Timeout": self.wanted()["timeout"],
        }
        for attribute, members in optional.items():
            if attribute in self.config:
                request |= members(self.config[attribute])
        self.client.create_function(**request)
        wait_for(lambda: self.configuration()["State"] == "Active", f"{self.name} is created")
        self.reserve()

    def reserve(self):
        reserved = self.wanted()["reserved_concurrent_executions"]
        if reserved >= 0:
            self.client.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=reserved)

    def configuration(self):
        return self.client.get_function(FunctionName=self.name)["Configuration"]

    def read(self):
        answer = found(self.client.get_function, FunctionName=self.name)
        if answer is None:
            return None
        function = answer["Configuration"]
        versions = self.client.get_paginator("list_versions_by_function").paginate(
            FunctionName=self.name, MaxItems=MOST_VERSIONS
        )
        latest = [version for page in versions for version in page["Versions"]][-1]
        signing = self.client.get_function_code_signing_config(FunctionName=self.name)
        self.arn = function["FunctionArn"]
        return {
            "architectures": function["Architectures"],
            "arn": function["FunctionArn"],
            "code_sha256": function["CodeSha256"],
            "code_signing_config_arn": signing.get("CodeSigningConfigArn", ""),
            "dead_letter_config": function.get("DeadLetterConfig"),
            "description": function["Description"],
            "environment": function["Environment"].get("Variables") if "Environment" in function else None,
            "ephemeral_storage": function["EphemeralStorage"]["Size"],
            "file_system_config": function.get("FileSystemConfigs", []),
            "handler": function["Handler"],
            "kms_key_arn": function.get("KMSKeyArn", ""),
            "last_modified": function["LastModified"],
            "layers": [layer["Arn"] for layer in function.get("Layers", [])],
            "logging_config": function["LoggingConfig"],
            "memory_size": function["MemorySize"],
            "package_type": function["PackageType"],
            "qualified_arn": latest["FunctionArn"],
            "reserved_concurrent_executions": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
            "role": function["Role"],
            "runtime": function["Runtime"],
            "snap_start": None if function["SnapStart"]["ApplyOn"] == "None" else function["SnapStart"]["ApplyOn"],
            "source_code_size": function["CodeSize"],
            "source_kms_key_arn": answer["Code"].get("SourceKMSKeyArn", ""),
            "tags": answer.get("Tags", {}),
            "timeout": function["Timeout"],
            "tracing_config": function["TracingConfig"]["Mode"],
            "version": latest["Version"],
            "vpc_config": function.get("VpcConfig") if function.get("VpcConfig", {}).get("VpcId") else None,
        }

    def replace_code(self, zip_bytes, config):
        """Another package, and whatever else changes."""
        self.zip_bytes = zip_bytes
        self.apply(config | {"code_sha256": digest(zip_bytes)})

    def update(self, changed):
        self.sign(changed)
        members = [self.MEMBERS[name](value) for name, value in changed.items() if name in self.MEMBERS]
        if members:
            request = {key: value for member in members for key, value in member.items()}
            self.client.update_function_configuration(FunctionName=self.name, **request)
            self.await_updated()
        if "code_sha256" in changed:
            self.client.update_function_code(FunctionName=self.name, ZipFile=self.zip_bytes)
            self.await_updated()
        if "reserved_concurrent_executions" in changed:
            if changed["reserved_concurrent_executions"] < 0:
                self.client.delete_function_concurrency(FunctionName=self.name)
            self.reserve()
        if members or "code_sha256" in changed:
            self.publish()

    def sign(self, changed):
        arn = changed.get("code_signing_config_arn")
        if arn:
            self.client.put_function_code_signing_config(FunctionName=self.name, CodeSigningConfigArn=arn)
        elif arn is not None:
            self.client.delete_function_code_signing_config(FunctionName=self.name)

    def await_updated(self):
        wait_for(lambda: self.configuration()["LastUpdateStatus"] == "Successful", f"{self.name} is updated")

    def publish(self):
        published = self.client.publish_version(FunctionName=self.name)
        # By a qualified ARN and the same qualifier again.
        name = {"FunctionName": published["FunctionArn"], "Qualifier": published["Version"]}
        get = self.client.get_function_configuration
        wait_for(lambda: get(**name).get("LastUpdateStatus") == "Successful", f"{self.name} is published")

    def delete(self):
        self.client.delete_function(FunctionName=self.name)
        wait_for(lambda: found(self.client.get_function, FunctionName=self.name) is None, "the function is gone")


class LayerVersion(Resource):
    """`layer_version.go`. Nothing of it is updated: another version replaces it."""

    DEFAULTS = {"compatible_architectures": [], "compatible_runtimes": [], "description": "", "license_info": ""}

    def __init__(self, client, name, zip_bytes, config):
        super().__init__(client, config | {"layer_name": name, "source_code_hash": digest(zip_bytes)})
        self.zip_bytes = zip_bytes

    def create(self):
        request = {
            "LayerName": self.config["layer_name"],
            "Content": {"ZipFile": self.zip_bytes},
            "Description": self.wanted()["description"],
            "LicenseInfo": self.wanted()["license_info"],
        }
        if self.config.get("compatible_runtimes"):
            request["CompatibleRuntimes"] = self.config["compatible_runtimes"]
        published = self.client.publish_layer_version(**request)
        self.arn, self.number = published["LayerVersionArn"], published["Version"]

    def read(self):
        name = self.arn.split(":")[6]
        version = found(self.client.get_layer_version, LayerName=name, VersionNumber=self.number)
        return version and {
            "arn": version["LayerVersionArn"],
            "compatible_architectures": version.get("CompatibleArchitectures", []),
            "compatible_runtimes": version.get("CompatibleRuntimes", []),
            "created_date": version["CreatedDate"],
            "description": version["Description"],
            "layer_arn": version["LayerArn"],
            "layer_name": name,
            "license_info": version.get("LicenseInfo", ""),
            "source_code_hash": version["Content"]["CodeSha256"],
            "source_code_size": version["Content"]["CodeSize"],
        }

    def delete(self):
        self.client.delete_layer_version(LayerName=self.config["layer_name"], VersionNumber=self.number)


class Alias(Resource):
    """`alias.go`: every call says everything, the routing as an empty structure where there is none."""

    DEFAULTS = {"description": "", "routing_config": {}}

    def request(self):
        weights = self.wanted()["routing_config"]
        return {
            "FunctionName": self.config["function_name"],
            "Name": self.config["name"],
            "Description": self.wanted()["description"],
            "FunctionVersion": self.config["function_version"],
            "RoutingConfig": {"AdditionalVersionWeights": weights} if weights else {},
        }

    def create(self):
        self.arn = self.client.create_alias(**self.request())["AliasArn"]

    def update(self, changed):
        self.client.update_alias(**self.request())
        if not self.wanted()["routing_config"]:
            wait_for(lambda: not self.read()["routing_config"], "the weights are cleared")

    def read(self):
        name = {"FunctionName": self.config["function_name"], "Name": self.config["name"]}
        alias = found(self.client.get_alias, **name)
        return alias and {
            "arn": alias["AliasArn"],
            "description": alias["Description"],
            "function_name": self.config["function_name"],
            "function_version": alias["FunctionVersion"],
            "name": alias["Name"],
            "routing_config": alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
        }

    def delete(self):
        self.client.delete_alias(FunctionName=self.config["function_name"], Name=self.config["name"])


class Permission(Resource):
    """`permission.go`. Any change replaces it."""

    DEFAULTS = {"qualifier": "", "source_account": None, "source_arn": None}
    MEMBERS = {
        "action": "Action",
        "function_name": "FunctionName",
        "principal": "Principal",
        "qualifier": "Qualifier",
        "source_account": "SourceAccount",
        "source_arn": "SourceArn",
        "statement_id": "StatementId",
    }

    def create(self):
        self.client.add_permission(**{self.MEMBERS[name]: value for name, value in self.config.items()})

    def name(self):
        members = ("function_name", "qualifier")
        return {self.MEMBERS[name]: self.config[name] for name in members if name in self.config}

    def read(self):
        answer = found(self.client.get_policy, **self.name())
        statements = json.loads(answer["Policy"])["Statement"] if answer else []
        [statement] = [one for one in statements if one["Sid"] == self.config["statement_id"]] or [None]
        if statement is None:
            return None
        principal, condition = statement["Principal"], statement.get("Condition", {})
        parts = statement["Resource"].split(":")
        return {
            "action": statement["Action"],
            "function_name": parts[6],
            "principal": principal if isinstance(principal, str) else principal.get("AWS") or principal.get("Service"),
            "qualifier": parts[7] if len(parts) > 7 else "",
            "source_account": condition.get("StringEquals", {}).get("AWS:SourceAccount"),
            "source_arn": condition.get("ArnLike", {}).get("AWS:SourceArn"),
            "statement_id": statement["Sid"],
        }

    def delete(self):
        self.client.remove_permission(**self.name(), StatementId=self.config["statement_id"])
        wait_for(lambda: self.read() is None, "the permission is gone")


class EventSourceMapping(Resource):
    """`event_source_mapping.go`, for queues."""

    DEFAULTS = {
        "batch_size": 10,
        "enabled": True,
        "filter_criteria": [],
        "function_response_types": [],
        "kms_key_arn": "",
        "maximum_batching_window_in_seconds": 0,
        "scaling_config": None,
        "starting_position": None,
        "tags": {},
    }
    MEMBERS = {
        "batch_size": lambda value: {"BatchSize": value},
        "enabled": lambda value: {"Enabled": value},
        "filter_criteria": lambda value: {"FilterCriteria": {"Filters": [{"Pattern": one} for one in value]}},
        "function_name": lambda value: {"FunctionName": value},
        "function_response_types": lambda value: {"FunctionResponseTypes": value},
        "maximum_batching_window_in_seconds": lambda value: {"MaximumBatchingWindowInSeconds": value},
        "scaling_config": lambda value: {"ScalingConfig": {"MaximumConcurrency": value} if value else {}},
    }

    def create(self):
        request = {"EventSourceArn": self.config["event_source_arn"], "Tags": self.wanted()["tags"]}
        request |= {"Enabled": self.wanted()["enabled"]}
        for name, value in self.config.items():
            request |= self.MEMBERS[name](value) if name in self.MEMBERS else {}
        created = self.client.create_event_source_mapping(**request)
        self.id, self.arn = created["UUID"], created["EventSourceMappingArn"]
        self.await_rest()

    def await_rest(self):
        get = self.client.get_event_source_mapping
        wait_for(lambda: get(UUID=self.id)["State"] in ("Enabled", "Disabled"), "the mapping is at rest")

    def read(self):
        mapping = found(self.client.get_event_source_mapping, UUID=self.id)
        if mapping is None:
            return None
        tags = self.client.list_tags(Resource=mapping["EventSourceMappingArn"])["Tags"]
        return {
            "batch_size": mapping["BatchSize"],
            "enabled": mapping["State"] in ("Enabled", "Enabling"),
            "event_source_arn": mapping["EventSourceArn"],
            "filter_criteria": [one["Pattern"] for one in mapping.get("FilterCriteria", {}).get("Filters", [])],
            "function_name": mapping["FunctionArn"],
            "function_response_types": mapping["FunctionResponseTypes"],
            "kms_key_arn": mapping.get("KMSKeyArn", ""),
            "last_modified": mapping["LastModified"],
            "maximum_batching_window_in_seconds": mapping["MaximumBatchingWindowInSeconds"],
            "scaling_config": mapping.get("ScalingConfig", {}).get("MaximumConcurrency"),
            "starting_position": mapping.get("StartingPosition"),
            "state": mapping["State"],
            "tags": tags,
        }

    def update(self, changed):
        request = {}
        for name, value in changed.items():
            request |= self.MEMBERS[name](value) if name in self.MEMBERS else {}
        self.client.update_event_source_mapping(UUID=self.id, **request)
        self.await_rest()

    def delete(self):
        self.client.delete_event_source_mapping(UUID=self.id)
        wait_for(lambda: found(self.client.get_event_source_mapping, UUID=self.id) is None, "the mapping is gone")


class EventInvokeConfig(Resource):
    """`function_event_invoke_config.go`: creates and updates by the same call."""

    DEFAULTS = {"destination_config": [None, None], "maximum_event_age_in_seconds": None, "maximum_retry_attempts": 2}

    def name(self):
        return {"FunctionName": self.config["function_name"], "Qualifier": self.config["qualifier"]}

    def create(self):
        request = self.name() | {"MaximumRetryAttempts": self.wanted()["maximum_retry_attempts"]}
        if "maximum_event_age_in_seconds" in self.config:
            request["MaximumEventAgeInSeconds"] = self.config["maximum_event_age_in_seconds"]
        if "destination_config" in self.config:
            parts = zip(("OnSuccess", "OnFailure"), self.config["destination_config"])
            request["DestinationConfig"] = {part: {"Destination": arn} for part, arn in parts if arn}
        self.client.put_function_event_invoke_config(**request)

    def update(self, changed):
        self.create()

    def read(self):
        config = found(self.client.get_function_event_invoke_config, **self.name())
        return config and {
            "destination_config": [
                config["DestinationConfig"][part].get("Destination") for part in ("OnSuccess", "OnFailure")
            ],
            "function_name": self.config["function_name"],
            "maximum_event_age_in_seconds": config.get("MaximumEventAgeInSeconds"),
            "maximum_retry_attempts": config.get("MaximumRetryAttempts"),
            "qualifier": self.config["qualifier"],
        }

    def delete(self):
        self.client.delete_function_event_invoke_config(**self.name())


class CodeSigningConfig(Resource):
    """`code_signing_config.go`."""

    DEFAULTS = {"description": "", "policies": "Warn", "tags": {}}

    def create(self):
        request = self.request(self.config) | {"Description": self.wanted()["description"]}
        created = self.client.create_code_signing_config(**request, Tags=self.wanted()["tags"])
        self.arn = created["CodeSigningConfig"]["CodeSigningConfigArn"]

    @staticmethod
    def request(attributes):
        members = {
            "allowed_publishers": lambda value: {"AllowedPublishers": {"SigningProfileVersionArns": value}},
            "description": lambda value: {"Description": value},
            "policies": lambda value: {"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": value}},
        }
        request = {}
        for name, value in attributes.items():
            request |= members[name](value) if name in members else {}
        return request

    def update(self, changed):
        self.client.update_code_signing_config(CodeSigningConfigArn=self.arn, **self.request(changed))

    def read(self):
        answer = found(self.client.get_code_signing_config, CodeSigningConfigArn=self.arn)
        if answer is None:
            return None
        config = answer["CodeSigningConfig"]
        return {
            "allowed_publishers": config["AllowedPublishers"]["SigningProfileVersionArns"],
            "arn": config["CodeSigningConfigArn"],
            "config_id": config["CodeSigningConfigId"],
            "description": config.get("Description", ""),
            "last_modified": config["LastModified"],
            "policies": config["CodeSigningPolicies"]["UntrustedArtifactOnDeployment"],
            "tags": self.client.list_tags(Resource=self.arn)["Tags"],
        }

    def delete(self):
        self.client.delete_code_signing_config(CodeSigningConfigArn=self.arn)


class FunctionUrl(Resource):
    """`function_url.go`: a URL that is open to all comes with the permission that opens it."""

    DEFAULTS = {"cors": None, "invoke_mode": "BUFFERED"}
    STATEMENT = "FunctionURLAllowPublicAccess"

    def name(self):
        return {"FunctionName": self.config["function_name"], "Qualifier": self.config["qualifier"]}

    def request(self, attributes):
        members = {"authorization_type": "AuthType", "cors": "Cors", "invoke_mode": "InvokeMode"}
        given = {member: attributes[name] for name, member in members.items() if attributes.get(name) is not None}
        return self.name() | given

    def create(self):
        created = self.client.create_function_url_config(**self.request(self.wanted()))
        self.arn = created["FunctionArn"]
        if self.config["authorization_type"] == "NONE":
            self.client.add_permission(
                **self.name(),
                StatementId=self.STATEMENT,
                Action="lambda:InvokeFunctionUrl",
                FunctionUrlAuthType="NONE",
                Principal="*",
            )

    def update(self, changed):
        # A block that is gone is sent as an empty structure.
        empty = {"Cors": {}} if changed.get("cors", "") is None else {}
        self.client.update_function_url_config(**self.request(changed), **empty)

    def read(self):
        url = found(self.client.get_function_url_config, **self.name())
        return url and {
            "authorization_type": url["AuthType"],
            "cors": url.get("Cors"),
            "function_arn": url["FunctionArn"],
            "function_name": self.config["function_name"],
            "function_url": url["FunctionUrl"],
            "invoke_mode": url["InvokeMode"],
            "qualifier": self.config["qualifier"],
        }

    def delete(self):
        self.client.delete_function_url_config(**self.name())


class ProvisionedConcurrency(Resource):
    """`provisioned_concurrency_config.go`."""

    def name(self):
        return {"FunctionName": self.config["function_name"], "Qualifier": self.config["qualifier"]}

    def create(self):
        wanted = self.config["provisioned_concurrent_executions"]
        self.client.put_provisioned_concurrency_config(**self.name(), ProvisionedConcurrentExecutions=wanted)
        self.await_ready()

    def await_ready(self):
        get = self.client.get_provisioned_concurrency_config
        wait_for(lambda: get(**self.name())["Status"] == "READY", "the environments are there")

    def update(self, changed):
        self.create()

    def read(self):
        config = found(self.client.get_provisioned_concurrency_config, **self.name())
        return config and self.config | {
            "provisioned_concurrent_executions": config["AllocatedProvisionedConcurrentExecutions"]
        }

    def delete(self):
        self.client.delete_provisioned_concurrency_config(**self.name())
