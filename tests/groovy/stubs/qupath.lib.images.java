package qupath.lib.images;

import qupath.lib.images.servers.ImageServer;
import qupath.lib.objects.hierarchy.PathObjectHierarchy;

public class ImageData<T> {
    private ImageData() {}
    public native boolean isChanged();
    public native PathObjectHierarchy getHierarchy();
    public native ImageServer<T> getServer();
}
