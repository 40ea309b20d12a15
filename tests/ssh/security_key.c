/*
 * A software security key for OpenSSH (its `sk-api.h`, version 10): P-256, a PIN of `1234`, no hardware. For tests only:
 * the private key is the key handle, in the open.
 */
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define USER_VERIFICATION 0x04
#define ERR_GENERAL -1
#define ERR_UNSUPPORTED -2
#define ERR_PIN_REQUIRED -3
#define POINT 65
#define SCALAR 32

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

struct sk_option;

uint32_t sk_api_version(void)
{
	return 0x000a0000;
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
    const char *pin, struct sk_option **options, struct sk_enroll_response **out)
{
	struct sk_enroll_response *made = calloc(1, sizeof(*made));
	EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);

	(void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
	if (alg != 0)
		return ERR_UNSUPPORTED;
	if (made == NULL || key == NULL || EC_KEY_generate_key(key) != 1)
		return ERR_GENERAL;
	made->flags = flags;
	made->public_key = malloc(POINT);
	made->public_key_len = POINT;
	made->key_handle = malloc(SCALAR);
	made->key_handle_len = SCALAR;
	/* Nobody looks at an attestation, and its signature must be there. */
	made->signature = calloc(1, 1);
	made->signature_len = 1;
	if (EC_POINT_point2oct(EC_KEY_get0_group(key), EC_KEY_get0_public_key(key), POINT_CONVERSION_UNCOMPRESSED,
	    made->public_key, POINT, NULL) != POINT ||
	    BN_bn2binpad(EC_KEY_get0_private_key(key), made->key_handle, SCALAR) != SCALAR)
		return ERR_GENERAL;
	EC_KEY_free(key);
	*out = made;
	return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *key_handle,
    size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **out)
{
	struct sk_sign_response *made = calloc(1, sizeof(*made));
	EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *scalar = BN_bin2bn(key_handle, (int)key_handle_len, NULL);
	uint8_t signed_bytes[SCALAR + 1 + 4 + SCALAR], digest[SCALAR];
	const BIGNUM *r, *s;
	ECDSA_SIG *signature;

	(void)options;
	if (alg != 0)
		return ERR_UNSUPPORTED;
	if ((flags & USER_VERIFICATION) && (pin == NULL || strcmp(pin, "1234") != 0))
		return ERR_PIN_REQUIRED;
	if (made == NULL || key == NULL || scalar == NULL || EC_KEY_set_private_key(key, scalar) != 1)
		return ERR_GENERAL;
	SHA256((const uint8_t *)application, strlen(application), signed_bytes);
	signed_bytes[SCALAR] = flags;
	memcpy(signed_bytes + SCALAR + 1, "\0\0\0\x09", 4);
	SHA256(data, data_len, signed_bytes + SCALAR + 5);
	SHA256(signed_bytes, sizeof(signed_bytes), digest);
	signature = ECDSA_do_sign(digest, sizeof(digest), key);
	if (signature == NULL)
		return ERR_GENERAL;
	ECDSA_SIG_get0(signature, &r, &s);
	made->flags = flags;
	made->counter = 9;
	made->sig_r_len = made->sig_s_len = SCALAR;
	made->sig_r = malloc(SCALAR);
	made->sig_s = malloc(SCALAR);
	BN_bn2binpad(r, made->sig_r, SCALAR);
	BN_bn2binpad(s, made->sig_s, SCALAR);
	*out = made;
	return 0;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count)
{
	(void)pin, (void)options, (void)keys, (void)count;
	return ERR_UNSUPPORTED;
}
