package qupath.lib.projects;

import java.io.IOException;
import java.net.URI;
import qupath.lib.images.ImageData;

public interface Project<T> {
    URI getURI();
    ProjectImageEntry<T> getEntry(ImageData<T> data);
}

public interface ProjectImageEntry<T> {
    String getID();
    String getImageName();
    void saveImageData(ImageData<T> data) throws IOException;
}
