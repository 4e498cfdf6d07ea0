//! `steward server authorize`: a person lets Steward use a server elsewhere, in the browser. The browser comes back to this
//! machine, with what the token is fetched for.

use std::{path::PathBuf, time::Duration};

use domain::servers;
use store::mcp_servers::is_address;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tools::{Authorization, ClientIdentity};
use url::Url;
use workers::grants;

use super::{Context, blocking};
use crate::{Error, Result, output};

/// How long the person may take in the browser.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a browser may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(10);
/// What a browser's request may have, in bytes.
const REQUEST_BYTES: usize = 16 * 1024;
/// The largest file with a secret, in bytes.
const SECRET_BYTES: u64 = 16 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server
    server: String,
    /// The name under which Steward is known to whoever authorizes; without it, it registers itself there
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file with the secret that goes with the name
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// What is asked for beside what the server names; may be said several times
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// The port on this machine to which the browser comes back; a free one where nothing is said
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

pub(super) async fn run(ctx: &Context, args: Args) -> Result<()> {
    let server = servers::named(&ctx.store, &ctx.actor, &args.server).await?;
    if !is_address(&server.command) {
        return Err(Error::refused(format!(
            "{} is a program on this machine, which needs no authorization; give it its keys as its environment",
            server.name
        )));
    }
    let vault = ctx.vault().await?;
    let secret = match args.client_secret_file {
        Some(file) => Some(blocking(move || read_secret(&file)).await?),
        None => None,
    };
    let Some(challenge) = tools::challenge(&server.command).await.map_err(|e| refused(&e))? else {
        return Err(Error::refused(format!(
            "{} lets everybody in, so there is nothing to authorize; see: steward server tools {0}",
            server.name
        )));
    };
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await;
    let listener = listener.map_err(|e| Error::refused(format!("the port {} can't be listened at: {e}", args.port)))?;
    let address = listener.local_addr().map_err(|e| Error::Internal(e.to_string()))?;
    let redirect = format!("http://{address}/callback");
    let identity = ClientIdentity { id: args.client_id, secret: secret.map(Into::into), document: None };
    let begun = Authorization::begin(&server.command, &redirect, identity, Some(&challenge), &args.scopes);
    let authorization = begun.await.map_err(|e| refused(&e))?;
    output::line(format!(
        "Open this address in a browser on this machine, log in there, and allow what it asks for:\n\n  {}\n\n\
         It comes back to {redirect}. (From another machine, first: ssh -L {1}:{address} THIS-MACHINE)",
        authorization.url(),
        address.port()
    ))?;
    let returned = tokio::select! {
        returned = tokio::time::timeout(PATIENCE, receive(&listener, &redirect, authorization.url())) => {
            returned.map_err(|_| refused("nobody came back from the browser within ten minutes; nothing was changed"))??
        }
        _ = tokio::signal::ctrl_c() => return Err(Error::refused("it was broken off; nothing was changed")),
    };
    let grant = authorization.finish(&returned, store::now().to_string()).await.map_err(|e| refused(&e))?;
    grants::keep(&ctx.store, &vault, &ctx.actor, &server, &grant).await?;
    output::line(format!(
        "Authorized, and kept sealed; Steward renews it by itself. See what it offers: steward server tools {}",
        server.name
    ))
}

fn refused(reason: &str) -> Error {
    Error::refused(format!("it could not be authorized: {}", output::safe(reason)))
}

fn read_secret(file: &std::path::Path) -> Result<String> {
    let fail = |e| Error::file(format!("the file {} can't be read", file.display()), e);
    if std::fs::metadata(file).map_err(fail)?.len() > SECRET_BYTES {
        return Err(Error::refused(format!("{} is too large to hold a secret", file.display())));
    }
    Ok(std::fs::read_to_string(file).map_err(fail)?.trim().to_owned())
}

/// Waits for the browser that was sent to `opened` and comes back; answers the whole address it came with. Whatever else
/// knocks at the port is sent away.
async fn receive(listener: &TcpListener, redirect: &str, opened: &str) -> Result<String> {
    let expected = value_of(opened, "state");
    loop {
        let (mut stream, _) = listener.accept().await.map_err(|e| Error::Internal(e.to_string()))?;
        let Some(target) = tokio::time::timeout(REQUEST, read_target(&mut stream)).await.ok().flatten() else {
            continue;
        };
        let Some(query) = target.strip_prefix("/callback?") else {
            answer(&mut stream, "404 Not Found", "There is nothing here.").await;
            continue;
        };
        let returned = format!("{redirect}?{query}");
        if value_of(&returned, "state") != expected {
            answer(&mut stream, "400 Bad Request", "This is not the log-in that Steward waits for.").await;
            continue;
        }
        if let Some(error) = value_of(&returned, "error") {
            let why = value_of(&returned, "error_description").unwrap_or(error);
            answer(&mut stream, "200 OK", "It was refused. You may close this page.").await;
            return Err(refused(&why));
        }
        answer(&mut stream, "200 OK", "Steward has what it needs. You may close this page.").await;
        return Ok(returned);
    }
}

fn value_of(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What a browser asks for by GET.
async fn read_target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 2048];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        head.extend_from_slice(part.get(..count)?);
        if head.len() > REQUEST_BYTES {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.lines().next()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next().map(str::to_owned)
}

async fn answer(stream: &mut TcpStream, status: &str, words: &str) {
    let page = format!("<!doctype html><meta charset=\"utf-8\"><title>Steward</title><p>{words}</p>");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        page.len()
    );
    // Whoever went away meanwhile needs no page.
    drop(stream.write_all(format!("{head}{page}").as_bytes()).await);
    drop(stream.shutdown().await);
}
