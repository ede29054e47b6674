//! The plane's secrets: its certificate authority, the key that signs tokens, the administrator's token.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::auth::token::Signer;
use super::tls::Authority;

const SIGNER_FILE: &str = "service-account.key";
const TOKEN_FILE: &str = "admin.token";

/// All of them.
#[derive(Debug)]
pub(crate) struct Keys {
    authority: OnceLock<Arc<Authority>>,
    pub signer: Signer,
    /// The administrator's token.
    pub token: String,
}

impl Keys {
    /// New ones. The authority is made when it is first asked for: most planes are never on a socket.
    pub fn generate() -> Keys {
        Keys { authority: OnceLock::new(), signer: Signer::generate(), token: new_token() }
    }

    /// Those that are kept in a folder; what is missing is made and kept there.
    pub fn keep(folder: &Path) -> io::Result<Keys> {
        std::fs::create_dir_all(folder)?;
        let authority = Arc::new(Authority::keep(folder)?);
        let signer = match read(&folder.join(SIGNER_FILE))? {
            Some(text) => signer_of(&text)
                .ok_or_else(|| io::Error::other(format!("{SIGNER_FILE} is no key of this plane")))?,
            None => {
                let signer = Signer::generate();
                write_private(&folder.join(SIGNER_FILE), &text_of(&signer))?;
                signer
            }
        };
        let token = match read(&folder.join(TOKEN_FILE))? {
            Some(text) => text.trim().to_owned(),
            None => {
                let token = new_token();
                write_private(&folder.join(TOKEN_FILE), &token)?;
                token
            }
        };
        Ok(Keys { authority: OnceLock::from(authority), signer, token })
    }

    pub fn authority(&self) -> io::Result<Arc<Authority>> {
        if let Some(authority) = self.authority.get() {
            return Ok(authority.clone());
        }
        let authority = Arc::new(Authority::generate()?);
        // Whoever else made one at the same time was first.
        Ok(self.authority.get_or_init(|| authority).clone())
    }
}

fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn text_of(signer: &Signer) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(signer.document());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn signer_of(text: &str) -> Option<Signer> {
    use rustls_pki_types::pem::PemObject as _;
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok()?;
    Signer::of(key.secret_pkcs8_der().to_vec())
}

/// Writes a file that nobody else may read, whatever stood there before.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_is_the_same_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::keep(folder.path()).unwrap();
        let second = Keys::keep(folder.path()).unwrap();
        assert_eq!(first.token, second.token);
        let token = first.signer.sign(&json!({"iss": crate::plane::auth::token::ISSUER}));
        assert!(second.signer.claims(&token).unwrap().is_some());
        let mode = std::fs::metadata(folder.path().join(SIGNER_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
