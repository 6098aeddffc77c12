// A first verified call with nothing but Go's standard library: go run first.go
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// der reads the file that a variable of sandbox.env names.
func der(variable string) []byte {
	block, _ := pem.Decode(must(os.ReadFile(os.Getenv(variable))))
	if block == nil {
		log.Fatalf("%s names no PEM file", variable)
	}
	return block.Bytes
}

func main() {
	mchid := os.Getenv("WECHATPAY_MCHID")
	path := "/v3/marketing/favor/stocks?offset=0&limit=10&stock_creator_mchid=" + mchid
	random := make([]byte, 16)
	must(rand.Read(random))
	nonce, now := hex.EncodeToString(random), time.Now().Unix()

	// Five lines, each with its line feed; the last is the body, empty here.
	digest := sha256.Sum256([]byte(fmt.Sprintf("GET\n%s\n%d\n%s\n\n", path, now, nonce)))
	private := must(x509.ParsePKCS8PrivateKey(der("WECHATPAY_PRIVATE_KEY"))).(*rsa.PrivateKey)
	signature := must(rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:]))
	request := must(http.NewRequest("GET", os.Getenv("WECHATPAY_BASE_URL")+path, nil))
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Authorization", fmt.Sprintf(
		`WECHATPAY2-SHA256-RSA2048 mchid="%s",nonce_str="%s",timestamp="%d",serial_no="%s",signature="%s"`,
		mchid, nonce, now, os.Getenv("WECHATPAY_SERIAL_NO"), base64.StdEncoding.EncodeToString(signature)))

	answer := must(http.DefaultClient.Do(request))
	body, head := must(io.ReadAll(answer.Body)), answer.Header
	if head.Get("Wechatpay-Serial") != os.Getenv("WECHATPAY_PUBLIC_KEY_ID") {
		log.Fatalf("%s, not signed by the key that is known: %s", answer.Status, body)
	}
	message := head.Get("Wechatpay-Timestamp") + "\n" + head.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"
	digest = sha256.Sum256([]byte(message))
	public := must(x509.ParsePKIXPublicKey(der("WECHATPAY_PUBLIC_KEY"))).(*rsa.PublicKey)
	signature = must(base64.StdEncoding.DecodeString(head.Get("Wechatpay-Signature")))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		log.Fatalf("the answer does not verify: %v", err)
	}
	fmt.Println(answer.Status, "verified", string(body))
}
