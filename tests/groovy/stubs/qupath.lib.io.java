package qupath.lib.io;

import com.google.gson.Gson;

public class GsonTools {
    private GsonTools() {}
    public static native Gson getInstance();
    public static native Gson getInstance(boolean pretty);
}
