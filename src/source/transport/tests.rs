//! Both transports against a real git on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::super::testing::TestRepo;
use super::super::{Place, Reference, Source, SourceError, SourceSettings};
use super::Access;

const TOKEN: &str = "s3cr3t-token";

fn git_is_here() -> bool {
    let here = Command::new("git").arg("http-backend").env("REQUEST_METHOD", "GET").output().is_ok();
    if !here {
        println!("skipped: git is not here");
    }
    here
}

/// A git server over https that wants `git:TOKEN`, and notes each request's line and authorization.
struct GitServer {
    port: u16,
    ca: tempfile::NamedTempFile,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl GitServer {
    fn start(root: &Path) -> GitServer {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca_cert = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, &ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(leaf.der().to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let mut ca = tempfile::NamedTempFile::new().unwrap();
        ca.write_all(ca_cert.pem().as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (config, root, noted) = (Arc::new(config), root.to_owned(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = rustls::StreamOwned::new(connection, stream);
                // A client that does not trust us goes away in the handshake.
                let _ = serve(&mut tls, &root, &noted);
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        });
        GitServer { port, ca, seen }
    }

    fn source(&self, url_user: &str, access: Access, cache: &Path) -> Source {
        let url = format!("https://{url_user}localhost:{}/repo", self.port).parse().unwrap();
        let place = Place::Git { url, reference: Reference::Branch("main".into()) };
        let mut settings = SourceSettings::new(place, cache);
        settings.access = Access { ca_file: Some(self.ca.path().to_owned()), ..access };
        settings.timeout = Duration::from_secs(20);
        Source::open(&settings).unwrap()
    }
}

/// One request, answered by `git http-backend`.
fn serve(
    stream: &mut (impl Read + Write),
    root: &Path,
    seen: &Mutex<Vec<(String, String)>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut *stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut content_type, mut authorization) = (0, String::new(), String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? < 3 {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "content-type" => content_type = value.trim().to_owned(),
            "authorization" => authorization = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.lock().unwrap().push((format!("{method} {target}"), authorization.clone()));
    if let Some(rest) = target.strip_prefix("/moved") {
        let answer = format!(
            "HTTP/1.1 301 Moved\r\nlocation: /repo{rest}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        return stream.write_all(answer.as_bytes());
    }
    // base64 of git:s3cr3t-token
    if authorization != "Basic Z2l0OnMzY3IzdC10b2tlbg==" && authorization != format!("Bearer {TOKEN}") {
        return stream.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", path.replacen("/repo", "/.git", 1))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", content_type)
        .env("CONTENT_LENGTH", length.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    backend.stdin.take().unwrap().write_all(&body)?;
    let output = backend.wait_with_output()?.stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let headers = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = headers.lines().find_map(|l| l.strip_prefix("Status: ")).unwrap_or("200 OK");
    stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}\r\nconnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&output[end + 4..])
}

fn token_file(token: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{token}").unwrap();
    file
}

#[test]
fn https_fetches_with_a_token_and_a_private_ca() {
    if !git_is_here() {
        return;
    }
    let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
    remote.write("a.yaml", "1");
    remote.commit("one");
    let server = GitServer::start(remote.path());
    let token = token_file(TOKEN);
    let access = Access { token_file: Some(token.path().to_owned()), ..Access::default() };
    let mut source = server.source("", access.clone(), cache.path());
    let first = source.fetch().unwrap();
    assert_eq!(first.files.len(), 1);
    for n in 0..50 {
        remote.write(&format!("{n}.yaml"), &format!("{n}").repeat(200));
        remote.commit(&format!("{n}"));
    }
    let second = source.fetch().unwrap();
    assert_eq!(second.files.len(), 51);
    assert!(source.is_ancestor(&first.revision, &second.revision).unwrap());
    let before = server.seen.lock().unwrap().len();
    assert_eq!(source.fetch().unwrap(), second);
    assert_eq!(server.seen.lock().unwrap().len(), before + 1, "nothing new is one request");

    let bearer = Access { bearer: true, ..access };
    let mut other = server.source("", bearer, tempfile::tempdir().unwrap().path());
    assert_eq!(other.fetch().unwrap(), second);
    let mut in_url =
        server.source(&format!("git:{TOKEN}@"), Access::default(), tempfile::tempdir().unwrap().path());
    assert_eq!(in_url.fetch().unwrap(), second);
}

#[test]
fn a_wrong_token_is_denied_and_never_shown() {
    if !git_is_here() {
        return;
    }
    let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
    remote.write("a.yaml", "1");
    remote.commit("one");
    let server = GitServer::start(remote.path());
    let token = token_file("wr0ng");
    let access = Access { token_file: Some(token.path().to_owned()), ..Access::default() };
    let error = server.source("", access.clone(), cache.path()).fetch().unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }) && error.is_retryable(), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("wr0ng"));
    let error = server.source("git:wr0ng@", Access::default(), cache.path()).fetch().unwrap_err();
    assert!(
        matches!(error, SourceError::Denied { .. }) && !format!("{error:?}").contains("wr0ng"),
        "{error:?}"
    );
    let lost = Access { token_file: Some(PathBuf::from("/no/such/token")), ..Access::default() };
    let error = server.source("", lost, cache.path()).fetch().unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    let stranger = tempfile::NamedTempFile::new().unwrap();
    let mut settings = SourceSettings::new(
        Place::Git {
            url: format!("https://localhost:{}/repo", server.port).parse().unwrap(),
            reference: Reference::Default,
        },
        cache.path(),
    );
    let error = Source::open(&settings).unwrap().fetch().unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "an unknown CA: {error:?}");
    settings.access.ca_file = Some(stranger.path().to_owned());
    assert!(Source::open(&settings).unwrap().fetch().unwrap_err().to_string().contains("no certificates"));
    settings.access.proxy = Some("http://user:pr0xy@127.0.0.1:1".to_owned());
    settings.access.ca_file = Some(server.ca.path().to_owned());
    assert!(!format!("{settings:?}").contains("pr0xy"));
    let error = Source::open(&settings).unwrap().fetch().unwrap_err();
    assert!(
        matches!(error, SourceError::Unreachable { .. }) && !format!("{error:?}").contains("pr0xy"),
        "{error:?}"
    );
    settings.access.no_proxy = "localhost".to_owned();
    let error = Source::open(&settings).unwrap().fetch().unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "reached without the proxy: {error:?}");
}

#[test]
fn a_moved_repository_is_followed() {
    if !git_is_here() {
        return;
    }
    let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
    remote.write("a.yaml", "1");
    remote.commit("one");
    let server = GitServer::start(remote.path());
    let token = token_file(TOKEN);
    let place = Place::Git {
        url: format!("https://localhost:{}/moved", server.port).parse().unwrap(),
        reference: Reference::Default,
    };
    let mut settings = SourceSettings::new(place, cache.path());
    settings.access.token_file = Some(token.path().to_owned());
    settings.access.ca_file = Some(server.ca.path().to_owned());
    assert_eq!(Source::open(&settings).unwrap().fetch().unwrap().files.len(), 1);
    let seen = server.seen.lock().unwrap();
    assert!(seen.last().unwrap().0.starts_with("POST /repo/"), "{seen:?}");
}

/// A program in the place of ssh that runs the command here.
#[cfg(unix)]
fn fake_ssh(folder: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("ssh");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn ssh_runs_upload_pack() {
    if !git_is_here() {
        return;
    }
    let (remote, cache) = (TestRepo::new(), tempfile::tempdir().unwrap());
    remote.write("a.yaml", "1");
    remote.commit("one");
    let open = |script: &str, timeout| {
        let place = Place::Git {
            url: format!("git@nowhere:{}", remote.path().display()).parse().unwrap(),
            reference: Reference::Branch("main".into()),
        };
        let mut settings = SourceSettings::new(place, cache.path());
        settings.access.ssh_program = fake_ssh(cache.path(), script);
        settings.timeout = timeout;
        Source::open(&settings).unwrap()
    };
    let long = Duration::from_secs(20);
    let mut source = open("for last; do :; done; eval \"$last\"", long);
    let first = source.fetch().unwrap();
    remote.write("b.yaml", "2");
    remote.commit("two");
    assert_eq!(source.fetch().unwrap().files.len(), 2);
    assert_eq!(first.files.len(), 1);

    let denied = open("echo 'Host key verification failed.' >&2; exit 255", long).fetch().unwrap_err();
    assert!(matches!(denied, SourceError::Denied { .. }), "{denied:?}");
    let gone = open("echo 'ssh: connect: Connection refused' >&2; exit 255", long).fetch().unwrap_err();
    assert!(
        matches!(&gone, SourceError::Unreachable { reason, .. } if reason.contains("refused")),
        "{gone:?}"
    );
    let begun = std::time::Instant::now();
    let silent = open("exec sleep 30", Duration::from_millis(300)).fetch().unwrap_err();
    assert!(matches!(silent, SourceError::Timeout { .. }), "{silent:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}
