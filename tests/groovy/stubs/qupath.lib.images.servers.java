package qupath.lib.images.servers;

import java.net.URI;
import java.util.Collection;

public interface ImageServer<T> {
    int getWidth();
    int getHeight();
    Collection<URI> getURIs();
    ImageServerMetadata getMetadata();
    PixelCalibration getPixelCalibration();
}

public class ImageServerMetadata {
    private ImageServerMetadata() {}
    public native String getName();
}

public class PixelCalibration {
    private PixelCalibration() {}
    public native boolean hasPixelSizeMicrons();
    public native double getPixelWidthMicrons();
    public native double getPixelHeightMicrons();
}
