//! The messages of Envoy's external authorization (v3), of an HTTP request that is authorised, and of the model context
//! protocol.

use super::message::Kind::{self, Any, Bool, Bytes, Free, Int, List, Map, Maybe, Of, Text, Time, Uint, Word};
use super::message::Message;

pub(super) const CHECK_REQUEST: &str = "envoy.service.auth.v3.CheckRequest";
pub(super) const CHECK_RESPONSE: &str = "envoy.service.auth.v3.CheckResponse";
pub(super) const OK: &str = "envoy.service.auth.v3.OkHttpResponse";
pub(super) const DENIED: &str = "envoy.service.auth.v3.DeniedHttpResponse";
pub(super) const HEADER: &str = "envoy.config.core.v3.HeaderValueOption";
pub(super) const HEADER_VALUE: &str = "envoy.config.core.v3.HeaderValue";
pub(super) const QUERY_PARAMETER: &str = "envoy.config.core.v3.QueryParameter";
pub(super) const HTTP_STATUS: &str = "envoy.type.v3.HttpStatus";
pub(super) const STATUS: &str = "google.rpc.Status";

pub(super) const HTTP_REQUEST: &str = "http.CheckRequest";
pub(super) const HTTP_ATTRIBUTES: &str = "http.CheckRequestAttributes";
pub(super) const HTTP_RESPONSE: &str = "http.CheckResponse";
pub(super) const HTTP_OK: &str = "http.CheckResponseOk";
pub(super) const HTTP_DENIED: &str = "http.CheckResponseDenied";
pub(super) const HTTP_MCP: &str = "http.MCPCheckData";

pub(super) const TOKEN: &str = "jwt.Token";
pub(super) const MCP_REQUEST: &str = "mcp.MCPRequest";

const INT32: Kind = Int(i32::MIN as i64, i32::MAX as i64);
const INT64: Kind = Int(i64::MIN, i64::MAX);
const UINT32: Kind = Uint(u32::MAX as u64);
const TEXTS: Kind = Map(&Text);
const HEADERS: Kind = List(&Of(HEADER));
const METADATA: Kind = Of("envoy.config.core.v3.Metadata");
const CALLED: &str = "mcp.CallToolParams";

const fn plain(name: &'static str, fields: &'static [(&'static str, Kind)]) -> Message {
    Message { name, fields, one_of: &[] }
}

const fn one_of(
    name: &'static str,
    one_of: &'static [&'static str],
    fields: &'static [(&'static str, Kind)],
) -> Message {
    Message { name, fields, one_of }
}

/// All that can be named.
#[rustfmt::skip]
pub(super) static MESSAGES: &[Message] = &[
    plain(CHECK_REQUEST, &[("attributes", Of("envoy.service.auth.v3.AttributeContext"))]),
    plain("envoy.service.auth.v3.AttributeContext", &[
        ("source", Of("envoy.service.auth.v3.AttributeContext.Peer")),
        ("destination", Of("envoy.service.auth.v3.AttributeContext.Peer")),
        ("request", Of("envoy.service.auth.v3.AttributeContext.Request")),
        ("context_extensions", TEXTS),
        ("metadata_context", METADATA),
        ("route_metadata_context", METADATA),
        ("tls_session", Of("envoy.service.auth.v3.AttributeContext.TLSSession")),
    ]),
    plain("envoy.service.auth.v3.AttributeContext.Peer", &[
        ("address", Of("envoy.config.core.v3.Address")),
        ("service", Text), ("labels", TEXTS), ("principal", Text), ("certificate", Text),
    ]),
    plain("envoy.service.auth.v3.AttributeContext.Request", &[
        ("time", Time), ("http", Of("envoy.service.auth.v3.AttributeContext.HttpRequest")),
    ]),
    plain("envoy.service.auth.v3.AttributeContext.HttpRequest", &[
        ("id", Text), ("method", Text), ("headers", TEXTS), ("header_map", Of("envoy.config.core.v3.HeaderMap")),
        ("path", Text), ("host", Text), ("scheme", Text), ("query", Text), ("fragment", Text), ("size", INT64),
        ("protocol", Text), ("body", Text), ("raw_body", Bytes),
    ]),
    plain("envoy.service.auth.v3.AttributeContext.TLSSession", &[("sni", Text)]),
    one_of("envoy.config.core.v3.Address", &["socket_address", "pipe", "envoy_internal_address"], &[
        ("socket_address", Of("envoy.config.core.v3.SocketAddress")),
        ("pipe", Of("envoy.config.core.v3.Pipe")),
        ("envoy_internal_address", Of("envoy.config.core.v3.EnvoyInternalAddress")),
    ]),
    one_of("envoy.config.core.v3.SocketAddress", &["port_value", "named_port"], &[
        ("protocol", Word(&[("TCP", 0), ("UDP", 1)])), ("address", Text), ("port_value", UINT32),
        ("named_port", Text), ("resolver_name", Text), ("ipv4_compat", Bool), ("network_namespace_filepath", Text),
    ]),
    plain("envoy.config.core.v3.Pipe", &[("path", Text), ("mode", UINT32)]),
    plain("envoy.config.core.v3.EnvoyInternalAddress", &[("server_listener_name", Text), ("endpoint_id", Text)]),
    plain("envoy.config.core.v3.Metadata", &[("filter_metadata", Map(&Free)), ("typed_filter_metadata", Map(&Any))]),
    plain("envoy.config.core.v3.HeaderMap", &[("headers", List(&Of(HEADER_VALUE)))]),
    plain(HEADER_VALUE, &[("key", Text), ("value", Text), ("raw_value", Bytes)]),
    plain(HEADER, &[
        ("header", Of(HEADER_VALUE)), ("append", Maybe(&Bool)),
        ("append_action", Word(&[
            ("APPEND_IF_EXISTS_OR_ADD", 0), ("ADD_IF_ABSENT", 1), ("OVERWRITE_IF_EXISTS_OR_ADD", 2), ("OVERWRITE_IF_EXISTS", 3),
        ])),
        ("keep_empty_value", Bool),
    ]),
    plain(QUERY_PARAMETER, &[("key", Text), ("value", Text)]),
    plain(HTTP_STATUS, &[("code", INT32)]),
    plain(STATUS, &[("code", INT32), ("message", Text), ("details", List(&Any))]),
    plain(OK, &[
        ("headers", HEADERS), ("headers_to_remove", List(&Text)), ("dynamic_metadata", Free),
        ("response_headers_to_add", HEADERS), ("query_parameters_to_set", List(&Of(QUERY_PARAMETER))),
        ("query_parameters_to_remove", List(&Text)),
    ]),
    plain(DENIED, &[("status", Of(HTTP_STATUS)), ("headers", HEADERS), ("body", Text)]),
    one_of(CHECK_RESPONSE, &["denied_response", "ok_response"], &[
        ("status", Of(STATUS)), ("denied_response", Of(DENIED)), ("ok_response", Of(OK)), ("dynamic_metadata", Free),
    ]),
    plain(HTTP_REQUEST, &[("attributes", Of(HTTP_ATTRIBUTES)), ("mcp", Of(HTTP_MCP))]),
    plain(HTTP_MCP, &[("request", Of(MCP_REQUEST))]),
    plain(HTTP_ATTRIBUTES, &[
        ("method", Text), ("header", Map(&List(&Text))), ("host", Text), ("protocol", Text), ("contentLength", INT64),
        ("body", Bytes), ("scheme", Text), ("path", Text), ("query", Map(&List(&Text))), ("fragment", Text),
    ]),
    plain(HTTP_RESPONSE, &[("ok", Of(HTTP_OK)), ("denied", Of(HTTP_DENIED))]),
    plain(HTTP_OK, &[]),
    plain(HTTP_DENIED, &[("reason", Text)]),
    plain(TOKEN, &[("Claims", Free), ("Valid", Bool)]),
    plain(MCP_REQUEST, &[
        ("Method", Text), ("ID", Any), ("Paginated", Of("mcp.PaginatedParams")), ("ToolCall", Of(CALLED)),
        ("ResourceRead", Of("mcp.ReadResourceParams")), ("PromptGet", Of("mcp.GetPromptParams")),
        ("Initialize", Of("mcp.InitializeParams")), ("Elicitation", Of("mcp.ElicitationParams")),
        ("SetLogLevel", Of("mcp.SetLevelParams")),
    ]),
    plain("mcp.PaginatedParams", &[("Cursor", Text)]),
    plain(CALLED, &[("Name", Text), ("Arguments", Any)]),
    plain("mcp.ReadResourceParams", &[("URI", Text), ("Arguments", Free)]),
    plain("mcp.GetPromptParams", &[("Name", Text), ("Arguments", TEXTS)]),
    plain("mcp.InitializeParams", &[
        ("ProtocolVersion", Text), ("Capabilities", Any), ("ClientInfo", Of("mcp.Implementation")),
    ]),
    plain("mcp.Implementation", &[("Name", Text), ("Version", Text), ("Title", Text)]),
    plain("mcp.ElicitationParams", &[("Message", Text), ("RequestedSchema", Any)]),
    plain("mcp.SetLevelParams", &[("Level", Text)]),
];
