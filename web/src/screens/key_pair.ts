/** An Ed25519 key pair, made in this browser. The secret half leaves it only to the screen. */

export interface KeyPair {
  /** Base64, as the API and its clients write them: 32 bytes each. */
  readonly publicKey: string;
  readonly secret: string;
  readonly proof: string;
}

/** Browsers have Ed25519 only on https and on this machine. */
export const canMakeKeys = (): boolean => globalThis.isSecureContext && crypto.subtle !== undefined;

/** Make a pair, and the signature with which it is registered. */
export async function makeKeyPair(): Promise<KeyPair> {
  const pair = (await crypto.subtle.generateKey({ name: "Ed25519" }, true, [
    "sign",
    "verify",
  ])) as CryptoKeyPair;
  const jwk = await crypto.subtle.exportKey("jwk", pair.privateKey);
  const publicKey = base64(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  const text = new TextEncoder().encode(`instruction=registerKey&publicKey=${publicKey}`);
  const proof = base64(new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, text)));
  return { publicKey, secret: padded(jwk.d ?? ""), proof };
}

const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** Base64url without padding as base64. */
const padded = (text: string): string => {
  const found = text.replaceAll("-", "+").replaceAll("_", "/");
  return found + "=".repeat((4 - (found.length % 4)) % 4);
};
