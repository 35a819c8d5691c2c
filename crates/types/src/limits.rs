//! The quotas of the service that are numbers and not settings.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> and the constraints of the
//! service model.

use std::time::Duration;

/// Characters of a function's bare name.
pub const FUNCTION_NAME_CHARACTERS: usize = 64;
/// Characters of a tenant's id.
pub const TENANT_ID_CHARACTERS: usize = 256;
/// Characters of a layer's name.
pub const LAYER_NAME_CHARACTERS: usize = 140;
/// Characters of a capacity provider's name, so that its ARN can be tagged.
pub const CAPACITY_PROVIDER_NAME_CHARACTERS: usize = 64;
/// Capacity providers, or versions on one, on one page of a list.
pub const CAPACITY_PROVIDERS_PER_PAGE: usize = 50;
/// Published versions of functions on one capacity provider.
pub const VERSIONS_PER_CAPACITY_PROVIDER: u64 = 100;
/// The most memory of a function on a capacity provider, in MB.
pub const MANAGED_MEMORY_MEGABYTES: u32 = 32_768;
/// The least memory of a function on a capacity provider, in MB.
pub const MANAGED_MEMORY_MINIMUM_MEGABYTES: u32 = 2_048;
/// The longest timeout of a function on a capacity provider, in seconds.
pub const MANAGED_TIMEOUT_SECONDS: u32 = 5_400;
/// Layers of one function.
pub const LAYERS_PER_FUNCTION: usize = 5;
/// Layers, or versions of a layer, on one page of a list.
pub const LAYERS_PER_PAGE: usize = 50;
/// Bytes of the policy of a resource.
pub const POLICY_BYTES: usize = 20_480;
/// Bytes of a synchronous request payload.
pub const REQUEST_PAYLOAD_BYTES: usize = 6_291_456;
/// Bytes of an asynchronous request payload.
pub const EVENT_PAYLOAD_BYTES: usize = 1_048_576;
/// Bytes of the payload of InvokeAsync, which did not get the larger limit.
pub const INVOKE_ASYNC_PAYLOAD_BYTES: usize = 262_144;
/// How often an asynchronous invocation is tried again, unless configured.
pub const EVENT_RETRIES: u32 = 2;
/// How old an asynchronous invocation may become, unless configured.
pub const EVENT_AGE: Duration = Duration::from_secs(21_600);
/// Bytes of a synchronous response payload: 6 MiB and 100 bytes.
pub const RESPONSE_PAYLOAD_BYTES: usize = 6_291_556;
/// Bytes of a response that comes in pieces: 200 MiB.
pub const STREAMED_RESPONSE_BYTES: usize = 209_715_200;
/// Bytes of a zip that is uploaded with the request.
pub const ZIPPED_CODE_BYTES: usize = 52_428_800;
/// Bytes of a function's code and layers once unpacked.
pub const UNZIPPED_CODE_BYTES: u64 = 262_144_000;
/// Bytes of the body of CreateFunction and UpdateFunctionCode.
pub const CODE_REQUEST_BYTES: usize = 70_167_211;
/// Bytes of code that an account may store in a Region.
pub const CODE_STORAGE_BYTES: u64 = 80_530_636_800;
/// Bytes of a function's environment variables, as compact JSON.
pub const ENVIRONMENT_BYTES: usize = 4_096;
/// Bytes of the log tail that an invocation can ask for.
pub const LOG_TAIL_BYTES: usize = 4_096;
/// Tags on one resource.
pub const TAGS_PER_RESOURCE: usize = 50;
/// Items on one page of ListFunctions, whatever the caller asks for.
pub const FUNCTIONS_PER_PAGE: usize = 50;
/// Items on one page of ListEventSourceMappings, whatever the caller asks for.
pub const MAPPINGS_PER_PAGE: usize = 100;
/// Function URLs on one page of a list.
pub const FUNCTION_URLS_PER_PAGE: usize = 50;
/// Filters of one event source mapping.
pub const FILTERS_PER_MAPPING: usize = 5;
/// Extensions of one execution environment.
pub const EXTENSIONS: usize = 10;
/// How long the Init phase of an execution environment may take.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the Init phase of an execution environment that is made ahead may take, where its invocations may not take
/// longer; also one whose state is kept as a snapshot.
pub const PROVISIONED_INIT_TIMEOUT: Duration = Duration::from_secs(130);
/// How long an execution environment may take to start from a snapshot, with the hooks that follow.
pub const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a link to a function's code stays good.
pub const CODE_LINK_LIFETIME: Duration = Duration::from_secs(600);
/// Memory that corresponds to one virtual CPU, in MB.
pub const MEGABYTES_PER_CPU: u32 = 1_769;
