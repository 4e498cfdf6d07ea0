//! What a browser does with a push: it has a key of its own, and reads what was encrypted for it (RFC 8291), written from
//! the receiver's side.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use p256::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint};
use ring::{
    aead, hmac,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use serde_json::{Value as Json, json};

/// A browser that asked to be told.
pub struct Browser {
    endpoint: String,
    secret: SecretKey,
    auth: [u8; 16],
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// Whether a sender proves to be the one with this public key, to the service at this origin.
pub fn believes(authorization: &str, key: &str, origin: &str) {
    let (token, sent_key) = authorization.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
    assert_eq!(sent_key, key);
    let (text, signature) = token.rsplit_once('.').unwrap();
    let (key, signature) = (BASE64.decode(key).unwrap(), BASE64.decode(signature).unwrap());
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(text.as_bytes(), &signature).unwrap();
    let claims: Json = serde_json::from_slice(&BASE64.decode(text.split_once('.').unwrap().1).unwrap()).unwrap();
    assert_eq!((claims["aud"].as_str().unwrap(), claims["sub"].as_str().unwrap()), (origin, "mailto:ada@example.org"));
}

impl Browser {
    pub fn new(endpoint: &str) -> Self {
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        Self { endpoint: endpoint.to_owned(), secret, auth: [9; 16] }
    }

    fn public(&self) -> Vec<u8> {
        self.secret.public_key().to_encoded_point(false).as_bytes().to_vec()
    }

    /// As Steward keeps it.
    pub fn subscription(&self) -> Json {
        json!({ "endpoint": self.endpoint, "p256dh": BASE64.encode(self.public()), "auth": BASE64.encode(self.auth) })
    }

    /// Reads what its maker's service hands over.
    pub fn read(&self, body: &[u8]) -> Vec<u8> {
        let (salt, theirs, record) = (&body[..16], &body[21..86], &body[86..]);
        assert_eq!((&body[16..20], body[20]), (&4096_u32.to_be_bytes()[..], 65));
        let peer = PublicKey::from_sec1_bytes(theirs).unwrap();
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), peer.as_affine());
        let prk = mac(&self.auth, &[shared.raw_secret_bytes().as_slice()]);
        let material = mac(&prk, &[b"WebPush: info\0", &self.public(), theirs, &[1]]);
        let prk = mac(salt, &[&material]);
        let key = mac(&prk, &[b"Content-Encoding: aes128gcm\0", &[1]]);
        let nonce = mac(&prk, &[b"Content-Encoding: nonce\0", &[1]]);
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &key[..16]).unwrap());
        let nonce = aead::Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap();
        let mut record = record.to_vec();
        let text = key.open_in_place(nonce, aead::Aad::empty(), &mut record).unwrap();
        let (text, end) = text.split_at(text.len() - 1);
        assert_eq!(end, [2], "the last record");
        text.to_vec()
    }
}
