import { Secret, TOTP } from 'otpauth'

/** How long one code is good; the one before and the one after are taken too, since clocks differ. */
export const totpStepMs = 30_000

/** A new secret of 160 bit, base32, for an authenticator app. */
export const newTotpSecret = (): string => new Secret({ size: 20 }).base32

/** What the QR code says to the app (otpauth://). @param panel shown in the app above the codes */
export const totpUri = (secret: string, { user, panel }: { user: string; panel: string }): string =>
  generator(secret, { issuer: panel, label: user }).toString()

/**
 * By RFC 6238: SHA-1, 30 s, 6 digits, one step either way.
 * @param code digits; anything else fits nothing
 * @param now milliseconds since 1970
 * @returns the time step that the code belongs to, null when it fits none
 */
export const totpStepOf = (secret: string, code: string, now: number): number | null => {
  if (!/^\d{6}$/.test(code)) return null
  const delta = generator(secret).validate({ token: code, timestamp: now, window: 1 })
  return delta === null ? null : Math.floor(now / totpStepMs) + delta
}

const generator = (secret: string, names: { issuer: string; label: string } = { issuer: '', label: '' }) =>
  new TOTP({ ...names, secret: Secret.fromBase32(secret), algorithm: 'SHA1', digits: 6, period: totpStepMs / 1000 })
