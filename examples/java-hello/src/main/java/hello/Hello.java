package hello;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import org.apache.commons.text.WordUtils;

/** Greets by name, in capitals, as a bean. */
public class Hello implements RequestHandler<Hello.Request, Hello.Answer> {
    public static class Request {
        private String name = "world";

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }
    }

    public record Answer(String hello, String java, int millisecondsLeft) {}

    @Override
    public Answer handleRequest(Request request, Context context) {
        context.getLogger().log("asked for " + request.getName());
        String name = WordUtils.capitalizeFully(request.getName());
        return new Answer(name, System.getProperty("java.version"), context.getRemainingTimeInMillis());
    }
}
