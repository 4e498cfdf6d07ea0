//! Pushes to a browser: encrypted for it alone (RFC 8291), in the name of one sender (VAPID, RFC 8292), over the service
//! that its maker runs (RFC 8030). That service sees how long a message is and for which browser, and nothing of it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jiff::Timestamp;
use ring::{
    aead, agreement, hkdf,
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Result, Trouble,
    address::Reach,
    http::{Client, Request},
};

/// Bytes of a message at most: what every service takes is 4096, of which the encryption needs 103.
pub const MESSAGE_BYTES: usize = 3072;
/// Bytes of an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// Bytes of a public key, and of the secret that a browser shares with its senders.
const KEY_BYTES: usize = 65;
const AUTH_BYTES: usize = 16;
/// Bytes of a record, which holds the whole message.
const RECORD_BYTES: u32 = 4096;
/// How long a proof of the sender counts, in seconds; a service takes a day at most.
const PROOF_S: i64 = 12 * 3600;
/// How long a service keeps a message for a browser that is away, in seconds.
const KEPT_S: u32 = 24 * 3600;
/// Characters of an address.
const ENDPOINT_CHARS: usize = 2000;

/// A browser that asked to be told. Whoever knows this can send it something, so it is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Browser {
    /// Where its maker's service takes messages for it.
    pub endpoint: String,
    /// Its public key, in base 64 for addresses.
    pub p256dh: String,
    /// The secret that it shares with its senders, likewise.
    pub auth: String,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// A later one of the same topic takes its place while the browser is away: 1–32 letters and digits.
    pub topic: String,
    /// At most [`MESSAGE_BYTES`].
    pub text: String,
    /// Whether it may wake a device.
    pub is_urgent: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service has it.
    Taken,
    /// The browser does not want to be told any more.
    Gone,
}

impl Browser {
    /// Whether something can be sent to it.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Trouble::lasting(format!("the browser's {what} is not what a browser gives"));
        let origin = origin(&self.endpoint).ok_or_else(|| wrong("endpoint"))?;
        let is_near = ["http://127.0.0.1:", "http://localhost:"].iter().any(|near| origin.starts_with(near));
        if self.endpoint.len() > ENDPOINT_CHARS || !(origin.starts_with("https://") || is_near) {
            return Err(wrong("endpoint"));
        }
        self.keys().map(drop)
    }

    fn keys(&self) -> Result<([u8; KEY_BYTES], [u8; AUTH_BYTES])> {
        let read = |text: &str| BASE64.decode(text.trim_end_matches('='));
        let wrong = |what: &str| Trouble::lasting(format!("the browser's {what} is not what a browser gives"));
        let key = read(&self.p256dh).ok().and_then(|k| k.try_into().ok()).filter(|k: &[u8; KEY_BYTES]| k[0] == 4);
        let auth = read(&self.auth).ok().and_then(|a| a.try_into().ok());
        Ok((key.ok_or_else(|| wrong("key p256dh"))?, auth.ok_or_else(|| wrong("key auth"))?))
    }
}

/// `https://push.example.org` of an address.
fn origin(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|h| !h.is_empty() && !h.contains('@'))?;
    address.get(..scheme.len() + 3 + host.len())
}

/// The key by which services know one sender.
#[derive(Debug)]
pub struct Sender(EcdsaKeyPair);

impl Sender {
    /// A new key, to be kept as a secret.
    pub fn generate() -> Result<SecretString> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| Trouble::passing("no key could be made"))?;
        Ok(SecretString::from(BASE64.encode(made.as_ref())))
    }

    /// The sender with this key.
    pub fn open(key: &SecretString) -> Result<Self> {
        let wrong = || Trouble::lasting("the key for pushes to browsers is not what was kept");
        let bytes = BASE64.decode(key.expose_secret()).map_err(|_| wrong())?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &SystemRandom::new())
            .map(Self)
            .map_err(|_| wrong())
    }

    /// The public half, as a browser wants it when it asks to be told.
    pub fn public(&self) -> String {
        BASE64.encode(self.0.public_key().as_ref())
    }

    /// Proves to the service at `endpoint` who sends; `contact` is where its people may write to.
    fn proof(&self, endpoint: &str, contact: &str, now: Timestamp) -> Result<String> {
        let audience = origin(endpoint).ok_or_else(|| Trouble::lasting("the browser's endpoint is no address"))?;
        let head = BASE64.encode(json!({ "typ": "JWT", "alg": "ES256" }).to_string());
        let claims = json!({ "aud": audience, "exp": now.as_second() + PROOF_S, "sub": contact });
        let text = format!("{head}.{}", BASE64.encode(claims.to_string()));
        let signed = self.0.sign(&SystemRandom::new(), text.as_bytes());
        let signed = signed.map_err(|_| Trouble::passing("a message could not be signed"))?;
        Ok(format!("vapid t={text}.{}, k={}", BASE64.encode(signed.as_ref()), self.public()))
    }

    /// Sends a message to a browser, over what `reach` allows.
    pub async fn send(&self, reach: Reach, browser: &Browser, contact: &str, message: &Message) -> Result<Outcome> {
        let body = encrypt(browser, message.text.as_bytes())?;
        let request = Request::post(&browser.endpoint, "application/octet-stream", body)
            .header("content-encoding", "aes128gcm")
            .header("ttl", KEPT_S.to_string())
            .header("urgency", if message.is_urgent { "high" } else { "normal" })
            .header("topic", &message.topic)
            .header("authorization", self.proof(&browser.endpoint, contact, Timestamp::now())?);
        let answer = Client::new(reach, ANSWER_BYTES)?.send(request).await?;
        match answer.status {
            404 | 410 => Ok(Outcome::Gone),
            _ => answer.good().map(|_| Outcome::Taken),
        }
    }
}

fn encrypt(browser: &Browser, text: &[u8]) -> Result<Vec<u8>> {
    let failed = |_| Trouble::lasting("a message could not be encrypted for the browser");
    if text.len() > MESSAGE_BYTES {
        return Err(Trouble::lasting(format!("a message to a browser has at most {MESSAGE_BYTES} bytes")));
    }
    let (theirs, auth) = browser.keys()?;
    let random = SystemRandom::new();
    let ours = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random).map_err(failed)?;
    let public = ours.compute_public_key().map_err(failed)?;
    let public: [u8; KEY_BYTES] =
        public.as_ref().try_into().map_err(|_| Trouble::lasting("a key of another length was made"))?;
    let mut salt = [0; 16];
    random.fill(&mut salt).map_err(failed)?;
    let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, theirs);
    agreement::agree_ephemeral(ours, &peer, |shared| sealed(shared, &theirs, &auth, &public, salt, text))
        .map_err(failed)?
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derived<const N: usize>(prk: &hkdf::Prk, info: &[&[u8]]) -> Result<[u8; N]> {
    let failed = |_| Trouble::lasting("a message could not be encrypted for the browser");
    let mut out = [0; N];
    prk.expand(info, Length(N)).map_err(failed)?.fill(&mut out).map_err(failed)?;
    Ok(out)
}

/// RFC 8291, section 3.4, and the one record of RFC 8188.
fn sealed(
    shared: &[u8],
    theirs: &[u8; KEY_BYTES],
    auth: &[u8; AUTH_BYTES],
    ours: &[u8; KEY_BYTES],
    salt: [u8; 16],
    text: &[u8],
) -> Result<Vec<u8>> {
    let failed = |_| Trouble::lasting("a message could not be encrypted for the browser");
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, auth).extract(shared);
    let material: [u8; 32] = derived(&prk, &[b"WebPush: info\0", theirs, ours])?;
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt).extract(&material);
    let key: [u8; 16] = derived(&prk, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derived(&prk, &[b"Content-Encoding: nonce\0"])?;
    // The last record ends with a 2.
    let mut record = [text, &[2]].concat();
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &key).map_err(failed)?);
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut record).map_err(failed)?;
    let mut body = salt.to_vec();
    body.extend(RECORD_BYTES.to_be_bytes());
    body.push(65);
    body.extend(ours);
    body.extend(record);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use p256::{PublicKey, SecretKey, ecdh::diffie_hellman};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64.decode(text).unwrap()
    }

    /// The example of RFC 8291, section 5 and appendix A.
    #[test]
    fn as_the_standard_says() {
        let theirs = bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let ours = bytes("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        let secret = SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let peer = PublicKey::from_sec1_bytes(&theirs).unwrap();
        let shared = diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
        let body = sealed(
            shared.raw_secret_bytes().as_slice(),
            &theirs.try_into().unwrap(),
            &bytes("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap(),
            &ours.try_into().unwrap(),
            bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap(),
            b"When I grow up, I want to be a watermelon",
        );
        assert_eq!(
            BASE64.encode(body.unwrap()),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn a_sender_proves_itself_to_one_service() {
        let sender = Sender::open(&Sender::generate().unwrap()).unwrap();
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let proof = sender.proof("https://push.example.org/send/abc?x=1", "mailto:ada@example.org", now).unwrap();
        let (token, key) = proof.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes(key))
            .verify(text.as_bytes(), &bytes(signature))
            .unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&bytes(text.split_once('.').unwrap().1)).unwrap();
        assert_eq!(
            claims,
            json!({ "aud": "https://push.example.org", "exp": 1_790_043_200, "sub": "mailto:ada@example.org" })
        );
    }

    #[test]
    fn a_browser_is_what_a_browser_gives() {
        let good = Browser {
            endpoint: "https://push.example.org/send/abc".to_owned(),
            p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
                .to_owned(),
            auth: "BTBZMqHH6r4Tts7J_aSIgg".to_owned(),
        };
        assert!(good.check().is_ok());
        for bad in [
            Browser { endpoint: "http://push.example.org/".to_owned(), ..good.clone() },
            Browser { endpoint: "file:///etc/passwd".to_owned(), ..good.clone() },
            Browser { endpoint: "https://ada@example.org/".to_owned(), ..good.clone() },
            Browser { p256dh: "AAAA".to_owned(), ..good.clone() },
            Browser { auth: String::new(), ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{}", bad.endpoint);
        }
        assert!(!format!("{good:?}").contains("abc"), "it is a secret");
    }
}
