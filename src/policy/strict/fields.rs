//! The fields of a classic policy and their types, as its custom resource definition has them. What is read elsewhere
//! with the same care (`match`, conditions, the entries of a context) is only named here.

use super::super::reader::{CompileError, Reader};

/// What a value may be.
pub(super) enum Shape {
    Text,
    Bool,
    Number,
    /// Checked by whoever reads it, or free.
    Any,
    Map(&'static [(&'static str, Shape)]),
    List(&'static Shape),
    /// Keys are free.
    Values(&'static Shape),
    To(&'static Shape),
}

use Shape::{Any, Bool, List, Map, Number, Text, To, Values};

const TEXTS: Shape = List(&Text);
const LABELS: Shape = Values(&Text);

pub(super) static SPEC: Shape = Map(&[
    ("rules", List(&Any)),
    ("applyRules", Text),
    ("failurePolicy", Text),
    ("validationFailureAction", Text),
    ("validationFailureActionOverrides", OVERRIDES),
    ("emitWarning", Bool),
    ("admission", Bool),
    ("background", Bool),
    ("schemaValidation", Bool),
    ("webhookTimeoutSeconds", Number),
    ("mutateExistingOnPolicyUpdate", Bool),
    ("generateExistingOnPolicyUpdate", Bool),
    ("generateExisting", Bool),
    ("useServerSideApply", Bool),
    (
        "webhookConfiguration",
        Map(&[("failurePolicy", Text), ("timeoutSeconds", Number), ("matchConditions", CONDITIONS)]),
    ),
    ("matchConditions", CONDITIONS),
]);

const FILTERS: Shape = Map(&[("any", List(&Any)), ("all", List(&Any))]);

pub(super) static CLEANUP: Shape = Map(&[
    ("context", CONTEXT),
    ("match", FILTERS),
    ("exclude", FILTERS),
    ("schedule", Text),
    ("conditions", Map(&[("any", List(&Any)), ("all", List(&Any))])),
    ("deletionPropagationPolicy", Text),
]);

const OVERRIDES: Shape = List(&Map(&[("action", Text), ("namespaces", TEXTS), ("namespaceSelector", Any)]));

const CONDITIONS: Shape = List(&Map(&[("name", Text), ("expression", Text)]));

pub(super) static RULE: Shape = Map(&[
    ("name", Text),
    ("context", CONTEXT),
    ("match", Any),
    ("exclude", Any),
    ("imageExtractors", Values(&List(&LABELS))),
    ("preconditions", Any),
    ("celPreconditions", CONDITIONS),
    ("validate", To(&VALIDATE)),
    ("mutate", To(&MUTATE)),
    ("generate", To(&GENERATE)),
    ("verifyImages", List(&VERIFY_IMAGE)),
    ("skipBackgroundRequests", Bool),
    ("reportProperties", LABELS),
]);

const CONTEXT: Shape = List(&Map(&[
    ("name", Text),
    ("variable", Any),
    ("configMap", Any),
    ("apiCall", Any),
    ("globalReference", Any),
    ("imageRegistry", Any),
]));

static VALIDATE: Shape = Map(&[
    ("message", Text),
    ("failureAction", Text),
    ("failureActionOverrides", OVERRIDES),
    ("allowExistingViolations", Bool),
    ("pattern", Any),
    ("anyPattern", List(&Any)),
    ("deny", DENY),
    ("foreach", List(&VALIDATE_EACH)),
    ("podSecurity", Any),
    ("cel", Any),
    ("assert", Any),
    ("manifests", MANIFESTS),
]);

const DENY: Shape = Map(&[("conditions", Any)]);

static VALIDATE_EACH: Shape = Map(&[
    ("list", Text),
    ("elementScope", Bool),
    ("context", CONTEXT),
    ("preconditions", Any),
    ("pattern", Any),
    ("anyPattern", List(&Any)),
    ("deny", DENY),
    ("foreach", List(&VALIDATE_EACH)),
]);

const OBJECTS: Shape =
    List(&Map(&[("group", Text), ("version", Text), ("kind", Text), ("name", Text), ("namespace", Text)]));

const MANIFESTS: Shape = Map(&[
    ("attestors", List(&ATTESTORS)),
    ("annotationDomain", Text),
    ("ignoreFields", List(&Map(&[("objects", OBJECTS), ("fields", TEXTS)]))),
    ("dryRun", Map(&[("enable", Bool), ("namespace", Text)])),
    ("repository", Text),
]);

static MUTATE: Shape = Map(&[
    ("mutateExistingOnPolicyUpdate", Bool),
    ("targets", List(&TARGET)),
    ("patchStrategicMerge", Any),
    ("patchesJson6902", Text),
    ("foreach", List(&MUTATE_EACH)),
]);

static TARGET: Shape = Map(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("namespace", Text),
    ("name", Text),
    ("uid", Text),
    ("selector", Any),
    ("context", CONTEXT),
    ("preconditions", Any),
]);

static MUTATE_EACH: Shape = Map(&[
    ("list", Text),
    ("order", Text),
    ("context", CONTEXT),
    ("preconditions", Any),
    ("patchStrategicMerge", Any),
    ("patchesJson6902", Text),
    ("foreach", List(&MUTATE_EACH)),
]);

const CLONE: Shape = Map(&[("name", Text), ("namespace", Text)]);
const CLONE_LIST: Shape = Map(&[("namespace", Text), ("kinds", TEXTS), ("selector", Any)]);

static GENERATE: Shape = Map(&[
    ("generateExisting", Bool),
    ("synchronize", Bool),
    ("orphanDownstreamOnPolicyDelete", Bool),
    ("apiVersion", Text),
    ("kind", Text),
    ("namespace", Text),
    ("name", Text),
    ("uid", Text),
    ("data", Any),
    ("clone", CLONE),
    ("cloneList", CLONE_LIST),
    ("foreach", List(&GENERATE_EACH)),
]);

static GENERATE_EACH: Shape = Map(&[
    ("list", Text),
    ("context", CONTEXT),
    ("preconditions", Any),
    ("apiVersion", Text),
    ("kind", Text),
    ("namespace", Text),
    ("name", Text),
    ("uid", Text),
    ("data", Any),
    ("clone", CLONE),
    ("cloneList", CLONE_LIST),
]);

static VERIFY_IMAGE: Shape = Map(&[
    ("failureAction", Text),
    ("type", Text),
    ("image", Text),
    ("imageReferences", TEXTS),
    ("skipImageReferences", TEXTS),
    ("key", Text),
    ("roots", Text),
    ("subject", Text),
    ("issuer", Text),
    ("additionalExtensions", LABELS),
    ("annotations", LABELS),
    ("attestors", List(&ATTESTORS)),
    (
        "attestations",
        List(&Map(&[
            ("name", Text),
            ("predicateType", Text),
            ("type", Text),
            ("attestors", List(&ATTESTORS)),
            ("conditions", List(&Any)),
        ])),
    ),
    ("repository", Text),
    ("cosignOCI11", Bool),
    ("mutateDigest", Bool),
    ("verifyDigest", Bool),
    ("validate", Map(&[("message", Text), ("deny", DENY)])),
    ("required", Bool),
    (
        "imageRegistryCredentials",
        Map(&[("allowInsecureRegistry", Bool), ("providers", TEXTS), ("secrets", TEXTS)]),
    ),
    ("useCache", Bool),
]);

const REKOR: Shape = Map(&[("url", Text), ("pubkey", Text), ("ignoreTlog", Bool)]);
const CTLOG: Shape = Map(&[("ignoreSCT", Bool), ("pubkey", Text), ("tsaCertChain", Text)]);

static ATTESTORS: Shape = Map(&[
    ("count", Number),
    (
        "entries",
        List(&Map(&[
            ("keys", KEYS),
            ("certificates", CERTIFICATES),
            ("keyless", KEYLESS),
            ("attestor", Any),
            ("annotations", LABELS),
            ("repository", Text),
        ])),
    ),
]);

const KEYS: Shape = Map(&[
    ("publicKeys", Text),
    ("signatureAlgorithm", Text),
    ("kms", Text),
    ("secret", CLONE),
    ("rekor", REKOR),
    ("ctlog", CTLOG),
]);

const CERTIFICATES: Shape = Map(&[("cert", Text), ("certChain", Text), ("rekor", REKOR), ("ctlog", CTLOG)]);

const KEYLESS: Shape = Map(&[
    ("issuer", Text),
    ("issuerRegExp", Text),
    ("subject", Text),
    ("subjectRegExp", Text),
    ("roots", Text),
    ("additionalExtensions", LABELS),
    ("rekor", REKOR),
    ("ctlog", CTLOG),
]);

impl Shape {
    /// Adds what of a value is not of this shape. Nothing is said of a null, which is the same as nothing.
    pub(super) fn check(&self, reader: &Reader<'_>, errors: &mut Vec<CompileError>) {
        let value = reader.value;
        let mut expected = |right: bool, what: &str| {
            if !right {
                errors.push(reader.error(format!("{what} is expected here, not {value}")));
            }
        };
        match self {
            _ if value.is_null() => {}
            Any => {}
            Text => expected(value.is_string(), "text"),
            Bool => expected(value.is_boolean(), "true or false"),
            Number => expected(value.is_i64() || value.is_u64(), "a whole number"),
            To(shape) => shape.check(reader, errors),
            List(shape) => match reader.items() {
                Ok(items) => items.iter().for_each(|item| shape.check(item, errors)),
                Err(error) => errors.push(error),
            },
            Values(shape) => match reader.map() {
                Ok(map) => {
                    for (key, value) in map {
                        shape.check(&Reader::new(value, reader.path.key(key)), errors);
                    }
                }
                Err(error) => errors.push(error),
            },
            Map(fields) => match reader.map() {
                Ok(map) => {
                    for (key, value) in map {
                        let inner = Reader::new(value, reader.path.key(key));
                        match fields.iter().find(|(name, _)| name == key) {
                            Some((_, shape)) => shape.check(&inner, errors),
                            None => errors.push(inner.error(unknown(key, fields))),
                        }
                    }
                }
                Err(error) => errors.push(error),
            },
        }
    }
}

/// What to say of a field that does not exist; with the one that was meant, if it differs only in case.
fn unknown(key: &str, fields: &[(&str, Shape)]) -> String {
    match fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
        Some((name, _)) => format!("unknown field {key:?}: {name} is meant"),
        None => {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            format!("unknown field {key:?}; known here are {}", names.join(", "))
        }
    }
}
