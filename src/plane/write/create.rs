//! POST: a new object.

use serde_json::Value;

use crate::plane::admission::Operation;
use crate::plane::body::Decoded;
use crate::plane::call::{Answer, Call};
use crate::plane::status::Failure;

/// How often a made-up name that is taken is made up anew.
const NAMES: usize = 8;

impl Call<'_> {
    /// POST to a collection.
    pub async fn create(&self, decoded: Decoded) -> Result<Answer, Failure> {
        let Decoded { value: mut body, warnings } = decoded;
        self.check_kind(&mut body)?;
        self.check_fits(&body)?;
        self.check_strict(&body, &warnings)?;
        self.place(&mut body)?;
        let named = body["metadata"]["resourceVersion"].clone();
        // Admission sees what was sent, before the server takes out what is not the client's.
        let sent = self.is_mutated(Operation::Create).then(|| body.clone());
        wipe(&mut body);
        self.normalise(&mut body, true);
        body = self.server.registry().types.update(
            &self.resource,
            None,
            &body,
            &self.options.manager,
            None,
            &self.now,
        );
        self.reset(&mut body, None);
        self.admit_namespace(body["metadata"]["name"].as_str().unwrap_or_default())?;
        if let Some(sent) = sent {
            body = self.mutated_new(sent, body).await?;
        }
        if named.as_str().and_then(|named| named.parse::<u64>().ok()).is_some_and(|named| named > 0) {
            body["metadata"]["resourceVersion"] = named;
        }
        let generated = generate_name(&mut body);
        for attempt in 0.. {
            match self.insert(body.clone()).await {
                Err(failure) if failure.reason == "AlreadyExists" && generated && attempt < NAMES => {
                    body["metadata"]["name"] = "".into();
                    generate_name(&mut body);
                }
                Err(failure) if failure.reason == "AlreadyExists" => {
                    let made_up =
                        body["metadata"]["generateName"].as_str().is_some_and(|name| !name.is_empty());
                    return Err(if made_up { failure.no_unique_name() } else { failure });
                }
                Err(failure) => return Err(failure),
                Ok(object) => return Ok(Answer::object(201, object)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// What mutating admission makes of a new object: it was `sent`, and `body` would be stored as it is.
    pub(super) async fn mutated_new(&self, mut sent: Value, body: Value) -> Result<Value, Failure> {
        self.normalise(&mut sent, true);
        wipe(&mut sent);
        let managed = body["metadata"]["managedFields"].clone();
        super::set_or_remove(&mut sent["metadata"], "managedFields", managed);
        if !self.mutate(Operation::Create, &mut sent, None).await? {
            return Ok(body);
        }
        self.reset(&mut sent, None);
        self.normalise(&mut sent, false);
        Ok(sent)
    }
}

/// Takes away what only the server says of a new object.
fn wipe(body: &mut Value) {
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        body["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
    }
}

/// A name for an object that only says how its name begins. Whether one was made up.
fn generate_name(body: &mut Value) -> bool {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let metadata = &mut body["metadata"];
    if !metadata["name"].as_str().unwrap_or_default().is_empty() {
        return false;
    }
    let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()) else {
        return false;
    };
    let random = uuid::Uuid::new_v4();
    let suffix: String =
        random.as_bytes()[..5].iter().map(|byte| ALPHABET[*byte as usize % ALPHABET.len()] as char).collect();
    let prefix: String = prefix.chars().take(58).collect();
    metadata["name"] = format!("{prefix}{suffix}").into();
    true
}
