// A first verified call with nothing but Java's standard library (17 or newer): java First.java

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Instant;
import java.util.Base64;
import java.util.UUID;

import static java.nio.charset.StandardCharsets.UTF_8;

public class First {
    public static void main(String[] arguments) throws Exception {
        var mchid = System.getenv("WECHATPAY_MCHID");
        var path = "/v3/marketing/favor/stocks?offset=0&limit=10&stock_creator_mchid=" + mchid;
        var nonce = UUID.randomUUID().toString().replace("-", "");
        var now = Instant.now().getEpochSecond();

        // Five lines, each with its line feed; the last is the body, empty here.
        var signer = Signature.getInstance("SHA256withRSA");
        signer.initSign(KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(der("WECHATPAY_PRIVATE_KEY"))));
        signer.update("GET\n%s\n%d\n%s\n\n".formatted(path, now, nonce).getBytes(UTF_8));
        var authorization =
            "WECHATPAY2-SHA256-RSA2048 mchid=\"%s\",nonce_str=\"%s\",timestamp=\"%d\",serial_no=\"%s\",signature=\"%s\"".formatted(
                mchid, nonce, now, System.getenv("WECHATPAY_SERIAL_NO"), Base64.getEncoder().encodeToString(signer.sign()));
        var request = HttpRequest.newBuilder(URI.create(System.getenv("WECHATPAY_BASE_URL") + path))
            .header("Accept", "application/json").header("Authorization", authorization).build();

        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString(UTF_8));
        var head = answer.headers();
        if (!head.firstValue("Wechatpay-Serial").orElse("").equals(System.getenv("WECHATPAY_PUBLIC_KEY_ID"))) {
            throw new SecurityException(answer.statusCode() + ", not signed by the key that is known: " + answer.body());
        }
        var message = "%s\n%s\n%s\n".formatted(
            head.firstValue("Wechatpay-Timestamp").orElse(""), head.firstValue("Wechatpay-Nonce").orElse(""), answer.body());
        var verifier = Signature.getInstance("SHA256withRSA");
        verifier.initVerify(KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(der("WECHATPAY_PUBLIC_KEY"))));
        verifier.update(message.getBytes(UTF_8));
        if (!verifier.verify(Base64.getDecoder().decode(head.firstValue("Wechatpay-Signature").orElse("")))) {
            throw new SecurityException("the answer does not verify");
        }
        System.out.println(answer.statusCode() + " verified " + answer.body());
    }

    /** Reads the PEM file that a variable of sandbox.env names. */
    private static byte[] der(String variable) throws Exception {
        var pem = Files.readString(Path.of(System.getenv(variable)));
        return Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
    }
}
